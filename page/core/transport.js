// To the server and back. What happened waits here until it may be sent, goes in batches, and again where it did
// not arrive: ids are made before the first attempt, so that it counts once.

import { complain, emit } from "./hub.js";
import { freshId, may, mayCome, visitor, words } from "./identity.js";
import { context } from "./context.js";
import { config } from "./settings.js";

const EVENTS = "events";
/** Where each kind of thing goes, and the list it goes in. */
const PATHS = { [EVENTS]: "/v1/events", decisionIds: "/v1/exposures", rewards: "/v1/rewards" };
const MAX_WAITING = 500;
const MAX_BODY_CHARS = 30_000; // beacons and keepalive requests under way hold 64 KiB together
const PAUSE_MS = 1_000;

let waiting = [];
let timer = 0;
let pauseMs = PAUSE_MS;

function address(path) {
  return `${config.host}${path}?key=${encodeURIComponent(config.key)}`;
}

/** The answer; a body that is text needs no preflight. Rejects where there is none, or not a good one. */
export async function ask(path, body, isKept) {
  const text = JSON.stringify(body);
  const answer = await fetch(address(path), { method: "POST", body: text, keepalive: isKept });
  if (!answer.ok) throw { status: answer.status, said: await answer.text() };
  return answer;
}

/** Puts one thing into the next batch of its kind; nothing where the visitor refused. */
export function send(list, item) {
  if (!mayCome()) return;
  waiting = [...waiting, [list, item]].slice(-MAX_WAITING);
  emit("queued", list, item);
  timer ||= setTimeout(flush, pauseMs);
}

/** Sends an event, beside `fields` with all that it needs. */
export function sendEvent(type, fields) {
  send(EVENTS, { type, messageId: freshId(), timestamp: new Date(), context: context(), ...fields });
}

/** Nothing of what waits is sent, now or later. */
export function drop() {
  waiting = [];
}

/** Sends what waits, if it may be sent; as beacons where the page may be gone in a moment. */
export function flush(isLeaving) {
  clearTimeout(timer);
  timer = 0;
  if (!may()) return;
  const leaving = waiting;
  waiting = [];
  for (const list in PATHS) {
    const items = leaving.filter(each => each[0] === list).map(each => each[1]);
    if (list === EVENTS) items.forEach(settle);
    deliver(list, items, isLeaving);
  }
}

/** Whose an event is, and what they agreed to, is settled as it goes out: who agrees may have been known before. */
function settle(event) {
  if (!event.anonymousId) Object.assign(event, visitor());
  event.context = { ...event.context, consent: words() };
}

function deliver(list, items, isLeaving) {
  if (!items[0]) return;
  const body = { [list]: items, sentAt: list === EVENTS ? new Date() : undefined };
  const text = JSON.stringify(body);
  const half = items.length >> 1;
  if (half && text.length > MAX_BODY_CHARS) {
    deliver(list, items.slice(0, half), isLeaving);
    deliver(list, items.slice(half), isLeaving);
  } else if (!isLeaving || !navigator.sendBeacon(address(PATHS[list]), text)) {
    ask(PATHS[list], body, true).then(
      () => {
        pauseMs = PAUSE_MS;
        emit("tried", list, items);
      },
      error => again(error, list, items),
    );
  }
}

function again(error, list, items) {
  complain(error);
  emit("tried", list, items, error);
  if ((error.status < 500 && error.status !== 429) || !may()) return;
  pauseMs *= 2;
  waiting = [...items.map(item => [list, item]), ...waiting].slice(-MAX_WAITING);
  timer ||= setTimeout(flush, pauseMs);
}
