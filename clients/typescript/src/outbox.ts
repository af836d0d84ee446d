/** What waits to be sent: in order, bounded in bytes, and in a storage where there is one. */
import { asNextbestError, NextbestError } from "./errors.js";
import type { Settled } from "./options.js";
import { bytesOf, newId } from "./platform.js";

export const EVENTS_PATH = "/v1/events";
const MAX_ITEMS = 2_000;
/** What stands around the events of a request is less than the rest of 500 KB. */
const MAX_BYTES = 500_000 - 1_000;
const PREFIX = "nextbest:";

/** One thing to be told: where, and the JSON. Sent twice it counts once, by the id that it holds. */
export interface Item {
  readonly path: string;
  readonly body: string;
  readonly nBytes: number;
  readonly key: string;
}

export class Outbox {
  private readonly items: Item[] = [];
  private readonly own = `${PREFIX}${newId()}:`;
  /** How many were put in, and how many of them are done with. */
  nPut = 0;
  nDone = 0;
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
      this.add({ path: text.slice(0, cut), body: text.slice(cut + 1), nBytes: bytesOf(text), key });
    }
  }

  private add(item: Item): void {
    this.nPut++;
    this.items.push(item);
    this.nBytes += item.nBytes;
  }

  /** Put one behind the others; what is dropped, or not stored, is told. */
  put(path: string, what: object): void {
    try {
      const body = JSON.stringify(what);
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

  private store({ key, path, body }: Item): void {
    try {
      this.options.storage?.setItem(key, `${path} ${body}`);
    } catch (failure) {
      throw new NextbestError("storage", `the event waits in memory alone: ${failure}`);
    }
  }

  /** What goes in the next request: events together, all else one by one. */
  head(from = 0, maxBytes = MAX_BYTES): Item[] {
    const first = this.items[from];
    if (first === undefined || first.path !== EVENTS_PATH) return first === undefined ? [] : [first];
    const head: Item[] = [];
    let nBytes = 0;
    for (let n = from; n < this.items.length && head.length < MAX_ITEMS; n++) {
      const item = this.items[n] as Item;
      nBytes += item.nBytes;
      if (item.path !== EVENTS_PATH || (head.length > 0 && nBytes > maxBytes)) break;
      head.push(item);
    }
    return head;
  }

  /** Forget the first ones. */
  drop(nItems: number): void {
    this.nDone += nItems;
    for (const { key, nBytes } of this.items.splice(0, nItems)) {
      this.nBytes -= nBytes;
      try {
        this.options.storage?.removeItem(key);
      } catch {
        // it is sent again by the next page, and counts once
      }
    }
  }
}

/** The body of a request that tells these. */
export function bodyOf(head: readonly Item[]): string {
  if (head[0]?.path !== EVENTS_PATH) return head[0]?.body ?? "";
  return `{"events":[${head.map(({ body }) => body).join(",")}],"sentAt":${Date.now()}}`;
}
