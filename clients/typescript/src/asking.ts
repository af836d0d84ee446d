/** A decide, from its arguments to the answer: the server's, or the caller's default. */
import { Answer } from "./answer.js";
import type { DecideOptions } from "./client.js";
import { asNextbestError, NextbestError, refusal } from "./errors.js";
import type { Settled } from "./options.js";
import { encoded, newId, now, platform } from "./platform.js";
import { pauseMs, post } from "./post.js";
import type { Placement, Visitor } from "./wire.js";

export type Placements = string | Placement | readonly (string | Placement)[];

const FIRST_PAUSE_MS = 25;
const LONGEST_PAUSE_MS = 200;
const NEEDED = ["placement", "slot", "decisionId", "content", "tier"];

/** One call of the decider. Its request id and those of its events are the same at every try. */
export class Asked {
  readonly requestId: string;
  private readonly placements: readonly (string | Placement)[];
  private readonly names: string[];
  private readonly atMs = Date.now();

  constructor(
    placements: Placements,
    private readonly visitor: Visitor,
    private readonly options: DecideOptions,
  ) {
    this.placements = Array.isArray(placements) ? placements : [placements as string | Placement];
    this.names = this.placements.map((each) => (typeof each === "string" ? each : each.placement));
    this.requestId = options.requestId ?? newId();
  }

  /** What the visitor did, as it is sent: with this request, or without it where it failed. */
  events(): Record<string, unknown>[] {
    const common = { timestamp: this.atMs, ...this.visitor };
    return (this.options.events ?? []).map((event, n) => ({
      messageId: `${this.requestId}:${n}`,
      ...common,
      ...event,
    }));
  }

  /** What the server decides; tried again while there is time. */
  async answer(settled: Settled, endMs: number, signal: unknown): Promise<Answer> {
    const { context, activate = true, deadlineMs, events } = this.options;
    const body = encoded({
      visitor: this.visitor,
      placements: this.placements,
      requestId: this.requestId,
      context,
      activate,
      deadlineMs,
      events: events?.length ? this.events() : undefined,
    });
    for (let nFailed = 1; ; nFailed++) {
      let error: NextbestError;
      let retryAfterMs = 0;
      try {
        const reply = await post(settled, "/v1/decide", body, signal);
        if (reply.status === 200) return this.whole(reply.text);
        retryAfterMs = reply.retryAfterMs;
        error = refusal(reply.status, reply.text);
      } catch (failure) {
        error = asNextbestError(failure);
      }
      const pause = pauseMs(nFailed, FIRST_PAUSE_MS, LONGEST_PAUSE_MS, retryAfterMs);
      if (!error.mayPass || now() + pause >= endMs) throw error;
      await new Promise<void>((resume) => platform.setTimeout(resume, pause));
    }
  }

  private whole(text: string): Answer {
    let answer: Answer;
    try {
      answer = new Answer(JSON.parse(text));
      for (const decision of answer.decisions) {
        const missing = NEEDED.find((name) => !(name in decision));
        if (missing !== undefined) throw new TypeError(`${missing} is missing`);
      }
    } catch (failure) {
      throw new NextbestError("bad_answer", `this is no answer of nextbest: ${failure}`, null, null, 200);
    }
    const missing = this.names.filter((name) => !answer.decisions.some(({ placement }) => placement === name));
    if (missing.length) {
      throw new NextbestError("bad_answer", `nothing was decided for ${missing.join(", ")}`, null, null, 200);
    }
    return answer;
  }

  /** The caller's default for each placement, and why. */
  fallback(error: NextbestError): Answer {
    const { defaults = {} } = this.options;
    const decisions = this.names.map((placement) => ({
      placement,
      slot: 0,
      decisionId: null,
      contentId: null,
      content: placement in defaults ? defaults[placement] : (this.options.default ?? null),
      probability: 1,
      policy: "default",
      tier: "default" as const,
      reason: String(error),
      holdout: false,
      variant: null,
    }));
    const unknown = { stateAgeMs: null, stateRevision: null, modelAgeMs: null, catalogVersion: null, warnings: [] };
    return new Answer({ requestId: this.requestId, decisions, ...unknown }, error);
  }
}
