/** One POST, and how long to wait before the next try. */
import { NextbestError } from "./errors.js";
import type { Settled } from "./options.js";

/** Whoever asks for more is asked once an hour; beyond 24 days a timer would not wait at all. */
const MAX_RETRY_AFTER_MS = 3_600_000;

export interface Reply {
  readonly status: number;
  readonly text: string;
  /** What it asks to wait before the next try, 0 if nothing. */
  readonly retryAfterMs: number;
}

/** Post once; whatever keeps an answer away is `unreachable`. */
export async function post(
  options: Settled,
  path: string,
  body: string,
  signal: unknown,
  keepalive = false,
): Promise<Reply> {
  const headers = { Authorization: `Bearer ${options.key}`, "Content-Type": "application/json" };
  try {
    const init = { method: "POST", headers, body, ...(signal ? { signal } : {}), ...(keepalive ? { keepalive } : {}) };
    const answer = await options.fetch(options.url + path, init);
    const after = answer.headers.get("Retry-After") ?? "";
    const retryAfterMs = /^\d+$/.test(after) ? Math.min(Number(after) * 1000, MAX_RETRY_AFTER_MS) : 0;
    return { status: answer.status, text: await answer.text(), retryAfterMs };
  } catch (failure) {
    const { message, cause } = failure as { message?: string; cause?: { message?: string } };
    throw new NextbestError("unreachable", [message, cause?.message].filter(Boolean).join(": ") || "no answer");
  }
}

/** How long to wait: never less than the server asks for, and everybody another while. */
export function pauseMs(nFailed: number, firstMs: number, longestMs: number, retryAfterMs: number): number {
  const whole = Math.min(longestMs, firstMs * 2 ** Math.min(nFailed - 1, 30));
  const own = whole * (0.5 + Math.random() / 2);
  return retryAfterMs ? Math.max(own, retryAfterMs + Math.random() * firstMs) : own;
}
