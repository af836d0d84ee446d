// To the server and back. What happened waits here until it may be sent, goes in batches, and again where it did
// not arrive: ids are made before the first attempt, so that it counts once.

import { complain, emit } from "./hub.js";
import { freshId, heard, may, mayCome, visitor, words } from "./identity.js";
import { context } from "./context.js";
import { config } from "./settings.js";

const EVENTS = "events";
/** Where each kind of thing goes, and the list it goes in. */
const PATHS = { [EVENTS]: EVENTS, decisionIds: "exposures", rewards: "rewards" };
const MAX_BODY_CHARS = 20_000; // beacons and keepalive requests under way hold 64 KiB together: of three bytes each
const PAUSE_MS = 1_000;

/** By kind. */
let waiting = {};
let timer = 0;
let pauseMs = PAUSE_MS;

function address(path) {
  return `${config.host}/v1/${path}?key=${encodeURIComponent(config.key)}`;
}

/** The answer; a body that is text needs no preflight. Rejects where there is none, or not a good one. */
export async function ask(path, body, isKept) {
  const text = JSON.stringify(body);
  const keepalive = isKept && text.length <= MAX_BODY_CHARS;
  const answer = await fetch(address(path), { method: "POST", body: text, keepalive });
  const { ok, status } = answer;
  if (!ok) throw { status, said: await answer.text() };
  return answer;
}

/** Tells an answer, until it was heard: a withdrawal that nobody hears of is none. */
export function tell(answer, waitMs = PAUSE_MS) {
  ask("consent", answer, true).then(heard, error => {
    complain(error);
    if (isPassing(error)) setTimeout(tell, waitMs, answer, 2 * waitMs);
  });
}

/** Whether a later attempt may succeed. */
function isPassing({ status }) {
  return !(status < 500 && status !== 429);
}

/** Puts one thing into the next batch of its kind; nothing where the visitor refused. */
export function send(list, item) {
  if (!mayCome()) return;
  item = JSON.parse(JSON.stringify(item)); // as it is now; what is no JSON harms nothing that waits
  wait(list, waiting[list], [item]);
  emit("queued", list, item);
}

function wait(list, first = [], last = []) {
  const MAX_WAITING = 500; // of a kind
  waiting[list] = [...first, ...last].slice(-MAX_WAITING);
  timer ||= setTimeout(flush, pauseMs);
}

/** Sends an event, beside `fields` with all that it needs. */
export function sendEvent(type, fields) {
  send(EVENTS, { type, messageId: freshId(), timestamp: new Date(), context: context(), ...fields });
}

/** Nothing of what waits is sent, now or later. */
export function drop() {
  waiting = {};
}

/** Sends what waits, if it may be sent; as beacons where the page may be gone in a moment. */
export function flush(isLeaving) {
  clearTimeout(timer);
  timer = 0;
  if (!may()) return;
  const leaving = waiting;
  drop();
  for (const list in leaving) {
    if (list === EVENTS) leaving[list].forEach(settle);
    deliver(list, leaving[list], isLeaving);
  }
}

/** Whose an event is, and what they agreed to, is settled as it goes out: who agrees may have been known before. */
function settle(event) {
  if (!event.anonymousId) Object.assign(event, visitor());
  (event.context ||= {}).consent = words();
}

function deliver(list, items, isLeaving) {
  const body = { [list]: items, sentAt: list === EVENTS ? new Date() : undefined };
  const text = JSON.stringify(body);
  if (items[1] && text.length > MAX_BODY_CHARS) halve(list, items, isLeaving);
  else if (!isLeaving || !navigator.sendBeacon?.(address(PATHS[list]), text))
    ask(PATHS[list], body, true).then(
      () => {
        pauseMs = PAUSE_MS;
        emit("tried", list, items);
      },
      error => again(error, list, items),
    );
}

function halve(list, items, isLeaving) {
  const half = items.length >> 1;
  deliver(list, items.slice(0, half), isLeaving);
  deliver(list, items.slice(half), isLeaving);
}

function again(error, list, items) {
  const MAX_PAUSE_MS = 60_000;
  complain(error);
  if (error.status === 400 && items[1]) return halve(list, items); // for one that is wrong all were refused
  emit("tried", list, items, error);
  if (!isPassing(error) || !may()) return;
  pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS);
  wait(list, items, waiting[list]);
}
