/** What is taken from wherever this runs: Node, a browser, Deno, a Worker. Typed here, so that no library of types is needed. */

/** The part of `fetch` that is used. */
export type Fetch = (
  url: string,
  init: {
    method: string;
    headers: Record<string, string>;
    body: string;
    keepalive?: boolean;
    signal?: unknown;
  },
) => Promise<{
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  text(): Promise<string>;
}>;

interface Timer {
  unref?(): void;
}

interface Platform {
  fetch: Fetch;
  setTimeout(call: () => void, ms: number): Timer;
  clearTimeout(timer: Timer | undefined): void;
  AbortController: new () => { readonly signal: unknown; abort(): void };
  TextEncoder: new () => { encode(text: string): { readonly length: number } };
  console: { warn(...words: unknown[]): void };
  performance?: { now(): number };
  crypto?: { randomUUID?(): string };
  document?: { visibilityState: string; addEventListener(name: string, call: () => void): void };
  process?: { once?(name: string, call: () => void): void; off?(name: string, call: () => void): void };
}

export const platform = globalThis as unknown as Platform;

const encoder = new platform.TextEncoder();

export const bytesOf = (text: string): number => encoder.encode(text).length;

/** JSON; half of a surrogate pair, which is no character, becomes `\ufffd`: a server refuses all that it stands in. */
export function encoded(value: unknown): string {
  const text = JSON.stringify(value);
  if (!/\\ud[89a-f]/.test(text)) return text;
  return text.replace(/\\(?:ud[89a-f]..|.)/g, (escape) => (escape.length > 2 ? "\ufffd" : escape));
}

/** In ms, from whenever; no clock that is set moves it. */
export const now = (): number => platform.performance?.now() ?? Date.now();

/** An id that nothing else has. It is no secret. */
export function newId(): string {
  const part = () => Math.random().toString(36).slice(2, 12);
  return platform.crypto?.randomUUID?.() ?? part() + part() + part();
}

/** The same as the promise, or a rejection by `late` after so many ms, whatever the promise does. */
export async function within<T>(ms: number, late: () => Error, start: (signal: unknown) => Promise<T>): Promise<T> {
  const controller = new platform.AbortController();
  let timer: Timer | undefined;
  const tooLate = new Promise<never>((_, reject) => {
    timer = platform.setTimeout(() => {
      reject(late());
      controller.abort();
    }, ms);
  });
  try {
    return await Promise.race([start(controller.signal), tooLate]);
  } finally {
    platform.clearTimeout(timer);
  }
}
