/** What was decided, or the caller's default and why. */
import type { NextbestError } from "./errors.js";
import type { AnswerFields, Decision, Warned } from "./wire.js";

export class Answer implements AnswerFields {
  readonly requestId: string;
  readonly decisions: readonly Decision[];
  readonly stateAgeMs: number | null;
  readonly stateRevision: number | null;
  readonly modelAgeMs: number | null;
  readonly catalogVersion: number | null;
  readonly warnings: readonly Warned[];

  constructor(
    said: AnswerFields,
    /** Why it is the caller's default; `null` if the server decided. */
    readonly error: NextbestError | null = null,
  ) {
    this.requestId = said.requestId;
    this.decisions = said.decisions;
    this.stateAgeMs = said.stateAgeMs;
    this.stateRevision = said.stateRevision;
    this.modelAgeMs = said.modelAgeMs;
    this.catalogVersion = said.catalogVersion;
    this.warnings = said.warnings;
  }

  /** The decision of a placement's first slot. Of a placement that was asked for there always is one. */
  first(placement: string): Decision {
    const found = this.decisions.find((decision) => decision.placement === placement);
    if (found === undefined) throw new RangeError(`placement ${placement} was not asked for`);
    return found;
  }
}
