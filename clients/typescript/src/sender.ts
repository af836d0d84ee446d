/** Sends what waits, each request until it is taken or refused. */
import { asNextbestError, NextbestError, refusal, rejections } from "./errors.js";
import type { Settled } from "./options.js";
import { bodyOf, EVENTS_PATH, type Item, Outbox } from "./outbox.js";
import { platform, within } from "./platform.js";
import { pauseMs, post, type Reply } from "./post.js";

/** A request that the server fails at each time must not hold up those behind it for ever. */
const MAX_INTERNAL_ERRORS = 10;
/** Browsers let requests that outlive their page hold 64 KiB, all together. */
const MAX_KEEPALIVE_BYTES = 30_000;

export class Sender {
  private readonly outbox: Outbox;
  private running: Promise<void> | null = null;
  private closesMs: number | null = null;
  private urged = false;
  private nUnderWay = 0;
  private wake: () => void = () => {};
  private readonly flushes = new Set<{ nPut: number; resolve(isDone: boolean): void }>();

  constructor(private readonly options: Settled) {
    this.outbox = new Outbox(options);
    if (this.outbox.length) this.start();
    platform.document?.addEventListener("visibilitychange", () => {
      if (platform.document?.visibilityState === "hidden") this.sendBeforeThePageGoes();
    });
  }

  put(path: string, what: object): void {
    if (this.closesMs !== null) {
      this.options.onError(new NextbestError("closed", "the client is closed; the event was dropped"));
      return;
    }
    this.outbox.put(path, what);
    this.start();
  }

  private start(): void {
    this.running ??= this.run().finally(() => {
      this.running = null;
      if (this.outbox.length && this.closesMs === null) this.start();
    });
  }

  private async run(): Promise<void> {
    if (!this.urged) await this.rest(this.options.flushEveryMs);
    while (this.outbox.length) {
      const head = this.outbox.head();
      this.nUnderWay = head.length;
      const settled = await this.send(head);
      this.nUnderWay = 0;
      if (!settled) return;
      this.outbox.drop(head.length);
      for (const { nPut, resolve } of this.flushes) if (this.outbox.nDone >= nPut) resolve(true);
    }
    this.urged = false;
  }

  /** Wait, unless something wakes it; a process that has nothing else to do does not live on for it. */
  private rest(ms: number): Promise<void> {
    return new Promise((resume) => {
      const timer = platform.setTimeout(resume, ms);
      if (this.closesMs === null) timer.unref?.();
      this.wake = () => {
        platform.clearTimeout(timer);
        resume();
      };
    });
  }

  /** Send until it is taken or refused, which is told; whether either came to be before the client closed. */
  private async send(head: readonly Item[]): Promise<boolean> {
    for (let nFailed = 1; ; nFailed++) {
      const leftMs = Math.min(this.options.sendTimeoutMs, (this.closesMs ?? Infinity) - Date.now());
      if (leftMs <= 0) return false;
      let error: NextbestError;
      let retryAfterMs = 0;
      let rejected: NextbestError[] = [];
      try {
        const reply = await this.tried(head, leftMs, nFailed === 1);
        rejected = rejections(reply.status, reply.text);
        if (reply.status >= 200 && reply.status < 300) {
          rejected.forEach(this.options.onError);
          return true;
        }
        retryAfterMs = reply.retryAfterMs;
        error = refusal(reply.status, reply.text);
      } catch (failure) {
        error = asNextbestError(failure);
      }
      (rejected.length ? rejected : [error]).forEach(this.options.onError);
      const isInternal = error.status === 500 || error.status === 501;
      if (!error.mayPass || (isInternal && nFailed >= MAX_INTERNAL_ERRORS)) return true;
      if (!(await this.pause(nFailed, retryAfterMs))) return false;
    }
  }

  private tried(head: readonly Item[], leftMs: number, isFirst: boolean): Promise<Reply> {
    const late = () => new NextbestError("timeout", "no answer in time");
    const body = bodyOf(head);
    const keepalive = isFirst && platform.document !== undefined && body.length < MAX_KEEPALIVE_BYTES;
    const path = head[0]?.path ?? EVENTS_PATH;
    return within(leftMs, late, (signal) => post(this.options, path, body, signal, keepalive));
  }

  /** Wait before the next try; whether there is to be one. Closing asks for one at once, unless the server said when. */
  private async pause(nFailed: number, retryAfterMs: number): Promise<boolean> {
    const { firstPauseMs, longestPauseMs } = this.options;
    const ms = pauseMs(nFailed, firstPauseMs, longestPauseMs, retryAfterMs);
    const endMs = Date.now() + ms;
    const wasOpen = this.closesMs === null;
    if (wasOpen) await this.rest(ms);
    if (this.closesMs === null || (wasOpen && !retryAfterMs)) return true;
    if (endMs >= this.closesMs) return false;
    await this.rest(endMs - Date.now());
    return true;
  }

  /** Nobody may be left to send it later. It stays in the queue: a page that lives on sends it again, and it counts once. */
  private sendBeforeThePageGoes(): void {
    let nBytes = 0;
    for (let from = this.nUnderWay; ; ) {
      const head = this.outbox.head(from, MAX_KEEPALIVE_BYTES - nBytes);
      const body = bodyOf(head);
      nBytes += body.length;
      from += head.length;
      if (!head[0] || nBytes > MAX_KEEPALIVE_BYTES) break;
      post(this.options, head[0].path, body, undefined, true).catch(() => {});
    }
    this.urge();
  }

  private urge(): void {
    if (!this.outbox.length) return;
    this.urged = true;
    if (this.nUnderWay === 0) this.wake();
  }

  /** Have sent what waits; whether it was, within the time. */
  async flush(timeoutMs: number): Promise<boolean> {
    if (!this.outbox.length) return true;
    const flush = { nPut: this.outbox.nPut, resolve: (_: boolean) => {} };
    const done = new Promise<boolean>((resolve) => {
      flush.resolve = resolve;
    });
    this.flushes.add(flush);
    this.urge();
    try {
      return await within(timeoutMs, () => new NextbestError("timeout", ""), () => done);
    } catch {
      return false;
    } finally {
      this.flushes.delete(flush);
    }
  }

  /** Send what waits, for so long; what no storage keeps then is told. */
  async close(timeoutMs: number): Promise<void> {
    if (this.closesMs !== null) return;
    this.closesMs = Date.now() + timeoutMs;
    this.wake();
    await within(timeoutMs + 100, () => new NextbestError("timeout", ""), async () => this.running).catch(() => {});
    if (this.outbox.length && this.options.storage === null) {
      const message = `${this.outbox.length} events were not sent before the client closed; \`storage\` keeps them`;
      this.options.onError(new NextbestError("not_sent", message));
    }
  }
}
