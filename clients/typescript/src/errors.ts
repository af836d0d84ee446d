/** What went wrong, in the words of the server where it said any. */

/** Something was not answered, or not taken. */
export class NextbestError extends Error {
  override readonly name = "NextbestError";

  constructor(
    /** The server's (`invalid_field`, …), or `timeout`, `unreachable`, `bad_answer`, `invalid_argument`, `queue_full`, `not_sent`, `storage`, `closed`. */
    readonly code: string,
    /** What is wrong, and what to do. */
    message: string,
    /** Which field is wrong, as the server names it. */
    readonly field: string | null = null,
    /** By which the server's log knows the request. */
    readonly requestId: string | null = null,
    /** Of the HTTP answer; 0 where there was none. */
    readonly status = 0,
  ) {
    super(message);
  }

  /** Whether the same request may be taken later. */
  get mayPass(): boolean {
    const { code, status } = this;
    return code === "timeout" || code === "unreachable" || status === 408 || status === 429 || status >= 500;
  }

  /** Whether it is about the key: everything else that is sent by it is refused likewise. */
  get isOfTheKey(): boolean {
    return (this.status === 401 || this.status === 403) && !this.isOfOthers;
  }

  /** Whether it is the answer of something that is not nextbest, such as a proxy. */
  get isOfOthers(): boolean {
    return this.code.startsWith("http_") || this.code === "bad_answer";
  }

  override toString(): string {
    return `${this.code}: ${this.field === null ? "" : `${this.field} `}${this.message}`;
  }
}

/** What an answer that is not 2xx says. */
export function refusal(status: number, text: string): NextbestError {
  try {
    const said = JSON.parse(text);
    if (typeof said.code === "string" && typeof said.message === "string") {
      return new NextbestError(said.code, said.message, said.field ?? null, said.requestId ?? null, status);
    }
  } catch {
    // no JSON, so not ours
  }
  const where = status >= 300 && status < 400 ? "leads elsewhere" : "is answered by something else";
  const message = `the address ${where}: pass that of nextbest itself`;
  return new NextbestError(`http_${status}`, message, null, null, status);
}

/** Whether an answer is nextbest's, and says that what was sent is done with; the login page of a network does not. */
export function isTaken(status: number, text: string): boolean {
  try {
    return status >= 200 && status < 300 && "accepted" in JSON.parse(text);
  } catch {
    return false;
  }
}

/** What an answer says of events that were not taken, each by its index in `field`. */
export function rejections(status: number, text: string): NextbestError[] {
  try {
    const { rejected = [], requestId = null } = JSON.parse(text || "{}");
    return rejected.map(
      ({ code, message, field = null }: { code: string; message: string; field?: string | null }) =>
        new NextbestError(code, message, field, requestId, status),
    );
  } catch {
    return [];
  }
}

/** Any failure of a call as one of ours. */
export function asNextbestError(failure: unknown): NextbestError {
  return failure instanceof NextbestError ? failure : new NextbestError("invalid_argument", String(failure));
}
