/** What a client may be told; the defaults fit a web server and a page. */
import type { NextbestError } from "./errors.js";
import { type Fetch, now, platform } from "./platform.js";

/** Where events wait too, so that they outlive the page: `localStorage`, or something like it. */
export interface EventStorage {
  readonly length: number;
  key(index: number): string | null;
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

export interface Options {
  /** Of the installation. */
  url: string;
  /** A write key (the only kind for a page) or a server key. */
  key: string;
  /** What a decide may cost its caller, all tries together. */
  timeoutMs?: number;
  /** A decide that fails rejects, instead of giving the default. */
  throwErrors?: boolean;
  /** Is told of every failure; logs unless you say otherwise. */
  onError?: (error: NextbestError) => void;
  storage?: EventStorage;
  /** What may wait; what comes beyond it is dropped, and told. */
  maxQueueBytes?: number;
  /** How long an event waits for others to go with. */
  flushEveryMs?: number;
  /** Of one try to send a batch. */
  sendTimeoutMs?: number;
  /** Between tries to send; they double, and each is drawn between half and the whole. */
  firstPauseMs?: number;
  longestPauseMs?: number;
  /** What is left when a client is closed, or Node has nothing else to do, is tried for so long. */
  closeTimeoutMs?: number;
  fetch?: Fetch;
}

export type Settled = Required<Omit<Options, "storage">> & { storage: EventStorage | null };

const LOG_EVERY_MS = 10_000;

/** Logs failures as warnings, each code once in ten seconds: a server that is away fails every call. */
function logs(): (error: NextbestError) => void {
  const said = new Map<string, number>();
  return (error) => {
    const atMs = now();
    if (atMs - (said.get(error.code) ?? -Infinity) >= LOG_EVERY_MS) {
      said.set(error.code, atMs);
      platform.console.warn(`nextbest: ${error}`);
    }
  };
}

export function settled(options: Options): Settled {
  const { url, key, onError = logs() } = options;
  if (!/^https?:\/\/[^/]/.test(url)) {
    throw new RangeError(`url is ${JSON.stringify(url)}; pass one such as https://nextbest.example.com`);
  }
  if (!/^[!-~]+$/.test(key)) {
    throw new RangeError("key is empty, or holds blanks or what no key does; pass it as `nextbest keys` printed it");
  }
  return {
    timeoutMs: 500,
    throwErrors: false,
    storage: null,
    maxQueueBytes: 16 * 1024 * 1024,
    flushEveryMs: 1_000,
    sendTimeoutMs: 10_000,
    firstPauseMs: 500,
    longestPauseMs: 30_000,
    closeTimeoutMs: 5_000,
    fetch: (address, init) => platform.fetch(address, init),
    ...options,
    url: url.replace(/\/+$/, ""),
    onError: (error) => {
      try {
        onError(error);
      } catch (failure) {
        platform.console.warn("nextbest: onError failed", failure);
      }
    },
  };
}
