/** What waits to be sent: in order, bounded in bytes, and in a storage where there is one. */
import { asNextbestError, NextbestError } from "./errors.js";
import type { Settled } from "./options.js";
import { bytesOf, encoded, newId } from "./platform.js";

export type Path = "/v1/events" | "/v1/exposures" | "/v1/rewards";

/** As the server takes them. */
const MOST: Record<Path, number> = { "/v1/events": 2_000, "/v1/exposures": 1_000, "/v1/rewards": 1_000 };
export const MAX_ITEMS = 2_000;
/** What stands around the items of a request is less than the rest of 500 KB. */
const MAX_BYTES = 500_000 - 1_000;
const PREFIX = "nextbest:";

/** One thing to be told: where, and the JSON. Sent twice it counts once, by the id that it holds. */
export interface Item {
  readonly path: Path;
  readonly body: string;
  readonly nBytes: number;
  readonly key: string;
  readonly n: number;
}

export class Outbox {
  private items: Item[] = [];
  private own = "";
  /** How many were put in. */
  nPut = 0;
  private nBytes = 0;

  constructor(private readonly options: Settled) {
    try {
      this.adopt();
    } catch (failure) {
      this.options.onError(new NextbestError("storage", `what waits in it cannot be read: ${failure}`));
    }
  }

  get length(): number {
    return this.items.length;
  }

  /** Take in what earlier pages left; another page that lives sends it too, and it counts once. */
  private adopt(): void {
    const { storage } = this.options;
    if (storage === null) return;
    const keys = Array.from({ length: storage.length }, (_, n) => storage.key(n) ?? "");
    for (const key of keys.filter((each) => each.startsWith(PREFIX)).sort()) {
      const text = storage.getItem(key) ?? "";
      const cut = text.indexOf(" ");
      const path = text.slice(0, cut);
      if (path in MOST) this.add({ path: path as Path, body: text.slice(cut + 1), nBytes: bytesOf(text), key });
      else storage.removeItem(key);
    }
  }

  /** The number of the first one that waits, by the order in which they were put in. */
  get nFirst(): number {
    return this.items[0]?.n ?? Infinity;
  }

  /** Whether a request would be. */
  get isFull(): boolean {
    return this.items.length >= MAX_ITEMS || this.nBytes >= MAX_BYTES;
  }

  private add(item: Omit<Item, "n">): void {
    this.items.push({ ...item, n: this.nPut++ });
    this.nBytes += item.nBytes;
  }

  /** Put one behind the others; what is dropped, or not stored, is told. */
  put(path: Path, what: object | string): void {
    try {
      const body = encoded(what);
      this.own ||= `${PREFIX}${newId()}:`; // not before there is something: a Worker makes no ids while it is loaded
      const key = this.own + String(this.nPut).padStart(9, "0");
      const item = { path, body, nBytes: bytesOf(body) + 1, key };
      if (this.nBytes + item.nBytes > this.options.maxQueueBytes) {
        throw new NextbestError("queue_full", "maxQueueBytes wait to be sent; the event was dropped");
      }
      this.add(item);
      this.store(item);
    } catch (failure) {
      this.options.onError(asNextbestError(failure));
    }
  }

  private store({ key, path, body }: Pick<Item, "key" | "path" | "body">): void {
    try {
      this.options.storage?.setItem(key, `${path} ${body}`);
    } catch (failure) {
      throw new NextbestError("storage", `the event waits in memory alone: ${failure}`);
    }
  }

  /** What goes in one request: the first one behind `from`, and those of its kind right behind it. */
  head(from = 0, maxItems = MAX_ITEMS, maxBytes = MAX_BYTES): Item[] {
    const head: Item[] = [];
    let nBytes = 0;
    for (let n = from; n < this.items.length; n++) {
      const item = this.items[n] as Item;
      const { path } = head[0] ?? item;
      nBytes += item.nBytes;
      const isFull = head.length >= Math.min(maxItems, MOST[path]) || (head.length > 0 && nBytes > maxBytes);
      if (isFull || item.path !== path) break;
      head.push(item);
    }
    return head;
  }

  /** Forget these. */
  drop(done: readonly Item[]): void {
    const gone = new Set(done);
    const left: Item[] = [];
    for (const item of this.items) gone.has(item) ? this.forget(item) : left.push(item);
    this.items = left;
  }

  private forget({ key, nBytes }: Item): void {
    this.nBytes -= nBytes;
    try {
      this.options.storage?.removeItem(key);
    } catch {
      // it is sent again by the next page, and counts once
    }
  }
}

/** The body of a request that tells these. */
export function bodyOf(head: readonly Item[]): string {
  const told = `[${head.map(({ body }) => body).join(",")}]`;
  const path = head[0]?.path;
  if (path === "/v1/exposures") return `{"decisionIds":${told}}`;
  if (path === "/v1/rewards") return `{"rewards":${told}}`;
  return `{"events":${told},"sentAt":${Date.now()}}`;
}
