/** The client: asks nextbest, and tells it. One for a process, or a page. */
import type { Answer } from "./answer.js";
import { Asked, type Placements } from "./asking.js";
import { asNextbestError, NextbestError } from "./errors.js";
import { type Options, type Settled, settled } from "./options.js";
import type { Path } from "./outbox.js";
import { newId, now, platform, within } from "./platform.js";
import { Sender } from "./sender.js";
import type { Decision, Json, Visitor } from "./wire.js";

export interface DecideOptions {
  /** The content in place of an answer. */
  default?: Json;
  /** The same, by placement. */
  defaults?: Record<string, Json>;
  /** All tries together; the client's unless given. */
  timeoutMs?: number;
  context?: Record<string, Json>;
  /** What the visitor has just done, as `/v1/events` takes it: counts in this answer already. */
  events?: readonly Record<string, Json>[];
  /** `false`: shown only once `activate` says so. */
  activate?: boolean;
  deadlineMs?: number;
  requestId?: string;
}

/** Fields of an event beside those that its call names. */
export interface EventFields {
  messageId?: string;
  /** In ms since 1970; now, unless given. */
  timestamp?: number;
  context?: Record<string, Json>;
}

export interface RewardOptions {
  name?: string;
  final?: boolean;
  messageId?: string;
}

export class Client {
  private readonly options: Settled;
  private readonly sender: Sender;
  private readonly beforeExit = () => void this.close();

  constructor(options: Options) {
    this.options = settled(options);
    this.sender = new Sender(this.options);
    platform.process?.once?.("beforeExit", this.beforeExit);
  }

  /** What to show; on any failure, and when the time is over, the default. Rejects only with `throwErrors`. */
  async decide(placements: Placements, visitor: Visitor, options: DecideOptions = {}): Promise<Answer> {
    const asked = new Asked(placements, visitor, options);
    const timeoutMs = options.timeoutMs ?? this.options.timeoutMs;
    const endMs = now() + timeoutMs;
    const late = () => new NextbestError("timeout", "no answer in time");
    try {
      return await within(timeoutMs, late, (signal) => asked.answer(this.options, endMs, signal));
    } catch (failure) {
      const error = asNextbestError(failure);
      this.options.onError(error);
      if (error.code !== "invalid_argument") for (const event of asked.events()) this.sender.put("/v1/events", event);
      if (this.options.throwErrors) throw error;
      return asked.fallback(error);
    }
  }

  /**
   * Say what the visitor did. Like all that follow it waits for nothing and throws nothing: the event is sent
   * behind the call, until the server took it. The message id, by which it counts once.
   */
  track(visitor: Visitor, event: string, properties?: Record<string, Json>, more?: EventFields): string {
    return this.tell("track", visitor, { event, properties, ...more });
  }

  /** Say who the visitor is, and what is known of them. */
  identify(visitor: Visitor, traits?: Record<string, Json>, more?: EventFields): string {
    return this.tell("identify", visitor, { traits, ...more });
  }

  /** Say that the visitor looks at a page. */
  page(visitor: Visitor, name?: string, properties?: Record<string, Json>, more?: EventFields): string {
    return this.tell("page", visitor, { name, properties, ...more });
  }

  /** Say what a decision was worth. A default has no id, and is left. */
  reward(decision: Decision | string, value = 1, options: RewardOptions = {}): string {
    const { name = "", final = false, messageId = newId() } = options;
    this.about(decision, "/v1/rewards", (decisionId) => ({ decisionId, name, value, messageId, final }));
    return messageId;
  }

  /** Say that a decision made with `activate: false` is shown now. */
  activate(decision: Decision | string): void {
    this.about(decision, "/v1/exposures", (decisionId) => decisionId);
  }

  private tell(type: string, visitor: Visitor, fields: EventFields & Record<string, Json>): string {
    const messageId = fields.messageId ?? newId();
    this.sender.put("/v1/events", { timestamp: Date.now(), ...visitor, ...fields, type, messageId });
    return messageId;
  }

  private about(decision: Decision | string, path: Path, told: (id: string) => object | string): void {
    const id = typeof decision === "string" ? decision : decision.decisionId;
    if (id) this.sender.put(path, told(id));
  }

  /** Have sent what waits now; whether it was, within the time. A Worker awaits it before it ends. */
  flush(timeoutMs = 10_000): Promise<boolean> {
    return this.sender.flush(timeoutMs);
  }

  /** Send what waits, and end. Node does so by itself when it has nothing else to do. */
  async close(): Promise<void> {
    platform.process?.off?.("beforeExit", this.beforeExit);
    await this.sender.close(this.options.closeTimeoutMs);
  }
}
