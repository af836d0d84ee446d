/** What goes over the wire, typed: whom a decision is for, and what was decided. */

export type Json = unknown;

/** Whom it is about: a browser, a user, or both, which says that they are one person. */
export interface Visitor {
  readonly anonymousId?: string | null;
  readonly userId?: string | null;
  /** Proof of the user, where the source asks write keys for it. */
  readonly userToken?: string;
  readonly userHash?: string;
}

/** A placement, of which so many slots are asked for. */
export interface Placement {
  readonly placement: string;
  readonly slots: number;
}

/** What to show in one slot of a placement. */
export interface Decision {
  readonly placement: string;
  readonly slot: number;
  /** `null` where the caller's default stands in: there is nothing to reward. */
  readonly decisionId: string | null;
  readonly contentId: string | null;
  readonly content: Json;
  readonly probability: number;
  readonly policy: string;
  readonly tier: "personalised" | "contextual" | "rules" | "default";
  /** Why this one; of a default, what failed. */
  readonly reason: string;
  readonly holdout: boolean;
  readonly variant: string | null;
}

/** What the server took, but not as it was sent. */
export interface Warned {
  readonly field: string;
  readonly code: string;
  readonly message: string;
}

/** The server's answer to a decide. */
export interface AnswerFields {
  readonly requestId: string;
  readonly decisions: readonly Decision[];
  readonly stateAgeMs: number | null;
  readonly stateRevision: number | null;
  readonly modelAgeMs: number | null;
  readonly catalogVersion: number | null;
  readonly warnings: readonly Warned[];
}
