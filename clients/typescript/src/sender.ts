/** Sends what waits, each request until it is taken or refused. */
import { asNextbestError, isTaken, NextbestError, refusal, rejections } from "./errors.js";
import type { Settled } from "./options.js";
import { bodyOf, type Item, MAX_ITEMS, Outbox, type Path } from "./outbox.js";
import { now, platform, within } from "./platform.js";
import { pauseMs, post, type Reply } from "./post.js";

/** A request that the server, or what stands in front of it, fails at each time must not hold up others for ever. */
const MAX_TRIES = 10;
/** Browsers let requests that outlive their page hold 64 KiB, all together. */
const MAX_KEEPALIVE_BYTES = 30_000;
/** By so much a request that is under way may outlast its time, before somebody else sends the same. */
const GRACE_MS = 1_000;

export class Sender {
  private readonly outbox: Outbox;
  private running: Promise<void> | null = null;
  /** Which run it is that sends: one that wakes up behind another leaves everything to that. */
  private turn = 0;
  private closesMs: number | null = null;
  private urged = false;
  private underWay: readonly Item[] = [];
  private underWayUntilMs = 0;
  private maxItems = MAX_ITEMS;
  private wake: () => void = () => {};
  private readonly flushes = new Set<{ nPut: number; resolve(isDone: boolean): void }>();

  constructor(private readonly options: Settled) {
    this.outbox = new Outbox(options);
    if (this.outbox.length) this.start();
    platform.document?.addEventListener("visibilitychange", () => {
      if (platform.document?.visibilityState === "hidden") this.sendBeforeThePageGoes();
    });
  }

  put(path: Path, what: object | string): void {
    if (this.closesMs !== null) {
      this.options.onError(new NextbestError("closed", "the client is closed; the event was dropped"));
      return;
    }
    this.outbox.put(path, what);
    if (this.running === null) this.start();
    else if (this.outbox.isFull && !this.underWay.length) this.wake();
  }

  private start(): void {
    const turn = ++this.turn;
    this.underWay = [];
    this.running = this.run(turn).finally(() => {
      if (turn !== this.turn) return;
      this.running = null;
      if (this.outbox.length && this.closesMs === null) this.start();
    });
  }

  private async run(turn: number): Promise<void> {
    while (turn === this.turn && this.outbox.length) {
      if (!this.isPressing) await this.rest(this.options.flushEveryMs);
      this.urged = false;
      const { nPut } = this.outbox;
      while (turn === this.turn && this.outbox.nFirst < nPut) {
        const done = await this.send(turn);
        if (turn !== this.turn) return;
        this.underWay = [];
        if (!done) return;
        this.done(done);
      }
    }
  }

  /** Whether what waits does not wait for others to go with it. */
  private get isPressing(): boolean {
    return this.urged || this.closesMs !== null || this.outbox.isFull;
  }

  private done(items: readonly Item[]): void {
    this.outbox.drop(items);
    for (const { nPut, resolve } of this.flushes) if (this.outbox.nFirst >= nPut) resolve(true);
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

  /**
   * Send the first ones until they are taken or refused, which is told; which, or `null` where the client closed.
   * Those that are refused together are sent in halves, so that the others do not go with the one that is wrong.
   */
  private async send(turn: number): Promise<readonly Item[] | null> {
    for (let nFailed = 1; ; nFailed++) {
      const leftMs = Math.min(this.options.sendTimeoutMs, (this.closesMs ?? Infinity) - now());
      const head = this.outbox.head(0, this.maxItems);
      if (leftMs <= 0 || !head.length) return null;
      this.underWay = head;
      this.underWayUntilMs = now() + leftMs + GRACE_MS;
      let error: NextbestError;
      let retryAfterMs = 0;
      let rejected: NextbestError[] = [];
      try {
        const reply = await this.tried(head, leftMs, nFailed === 1);
        rejected = rejections(reply.status, reply.text);
        if (isTaken(reply.status, reply.text)) {
          rejected.forEach(this.options.onError);
          this.maxItems = Math.min(MAX_ITEMS, this.maxItems * 2);
          return head;
        }
        retryAfterMs = reply.retryAfterMs;
        error = refusal(reply.status, reply.text);
      } catch (failure) {
        error = asNextbestError(failure);
      }
      if (turn !== this.turn) return null;
      const doubtful = isDoubtful(error);
      const mayPass = doubtful ? nFailed < MAX_TRIES : error.mayPass || error.isOfTheKey;
      const isSearched = doubtful && this.maxItems < MAX_ITEMS;
      if ((!mayPass || isSearched) && !rejected.length && head.length > 1) {
        this.maxItems = Math.floor(head.length / 2);
        if (error.status < 500 && !error.isOfOthers) continue; // what is wrong with it is known
      } else {
        (!mayPass && rejected.length ? rejected : [error]).forEach(this.options.onError);
        if (!mayPass) return head;
      }
      if (!(await this.pause(nFailed, retryAfterMs, error.isOfTheKey)) || turn !== this.turn) return null;
    }
  }

  private tried(head: readonly Item[], leftMs: number, isFirst: boolean): Promise<Reply> {
    const late = () => new NextbestError("timeout", "no answer in time");
    const keepalive = isFirst && platform.document !== undefined && bytesOfAll(head) < MAX_KEEPALIVE_BYTES;
    const path = head[0]?.path as Path;
    return within(leftMs, late, (signal) => post(this.options, path, bodyOf(head), signal, keepalive));
  }

  /** Wait before the next try; whether there is to be one. Closing asks for one at once, unless the server said when. */
  private async pause(nFailed: number, retryAfterMs: number, isOfTheKey: boolean): Promise<boolean> {
    const { firstPauseMs, longestPauseMs } = this.options;
    const ms = pauseMs(nFailed, isOfTheKey ? longestPauseMs : firstPauseMs, longestPauseMs, retryAfterMs);
    const endMs = now() + ms;
    this.underWayUntilMs = endMs + GRACE_MS;
    const wasOpen = this.closesMs === null;
    if (wasOpen) await this.rest(ms);
    if (this.closesMs === null) return true;
    if (isOfTheKey) return false;
    if (wasOpen && !retryAfterMs) return true;
    if (endMs >= this.closesMs) return false;
    await this.rest(endMs - now());
    return true;
  }

  /** Nobody may be left to send it later. What is not answered stays in the queue: sent again it counts once. */
  private sendBeforeThePageGoes(): void {
    let nBytes = 0;
    for (let from = this.underWay.length; ; ) {
      const head = this.outbox.head(from, MAX_ITEMS, MAX_KEEPALIVE_BYTES - nBytes);
      nBytes += bytesOfAll(head);
      from += head.length;
      if (!head[0] || nBytes > MAX_KEEPALIVE_BYTES) return;
      post(this.options, head[0].path, bodyOf(head), undefined, true).then(
        ({ status, text }) => {
          if (isTaken(status, text) && !rejections(status, text).length) this.done(head);
        },
        () => {},
      );
    }
  }

  /**
   * Send what waits for others now, as a run of whoever asks: what an earlier request of a Worker began to wait for never
   * comes, since its timers ended with it.
   */
  private urge(): void {
    this.urged = this.outbox.length > 0;
    if (!this.urged || (this.underWay.length && now() < this.underWayUntilMs)) return;
    const { wake } = this;
    this.start();
    wake();
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
    this.closesMs = now() + timeoutMs;
    if (this.underWay.length) this.wake();
    this.urge();
    await within(timeoutMs + 100, () => new NextbestError("timeout", ""), async () => this.running).catch(() => {});
    if (this.outbox.length && this.options.storage === null) {
      const message = `${this.outbox.length} events were not sent before the client closed; \`storage\` keeps them`;
      this.options.onError(new NextbestError("not_sent", message));
    }
  }
}

const bytesOfAll = (head: readonly Item[]): number => head.reduce((sum, { nBytes }) => sum + nBytes, 0);

/** Whether it may be this very request that fails, or all of them. */
function isDoubtful({ status, isOfOthers, mayPass }: NextbestError): boolean {
  return status === 500 || status === 501 || (isOfOthers && !mayPass && status !== 413);
}
