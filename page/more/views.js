// A view: one page as somebody sees it. It begins with the document, with an address that changes within it, and
// with a return by the back button to a page that the browser kept. It ends, once, when the page is left, when the
// address changes, or when nobody looked at it for AWAY_MS.

const SETTLED_MS = 100; // titles follow their addresses, and addresses one another, within this
const AWAY_MS = 30_000; // a phone may end a hidden page at any moment
const LEFT = "Page Left";

let core;
let view;
let pending = 0;
let away = 0;
let sending;
const beginnings = [];
const measures = [];

/** Calls `listener` with `page` of each view: url, path, search, referrer, title. */
export function onView(given, listener) {
  watch(given);
  beginnings.push(listener);
}

/** Puts a figure into the event that says that a view ended: `measure` has `begin()` and `end(isLeaving)`. */
export function measured(given, name, measure) {
  watch(given);
  measures.push({ name, measure });
}

/** Sends an event that is about `page`, wherever the browser is by now. */
export function sendOf(page, type, fields) {
  const properties = { ...page, ...fields?.properties };
  sending = page;
  try {
    core.sendEvent(type, { ...fields, properties });
  } finally {
    sending = undefined;
  }
}

function watch(given) {
  if (core) return;
  core = given;
  core.on("queued", (list, item) => {
    if (sending) item.context.page = { ...sending };
  });
  core.on("navigated", (address, before) => {
    if (route(address) === route(before)) return;
    const from = pending ? view.referrer : before; // what nobody saw led nowhere
    end();
    begin(from);
  });
  addEventListener("pageshow", event => event.persisted && begin(view?.referrer ?? document.referrer));
  addEventListener("pagehide", leave);
  document.addEventListener("freeze", leave);
  document.addEventListener("visibilitychange", () => {
    clearTimeout(away);
    if (document.hidden) away = setTimeout(leave, AWAY_MS);
  });
  const first = () => begin(document.referrer);
  if (document.readyState === "loading") addEventListener("DOMContentLoaded", first, { once: true });
  else first();
}

/** What of an address is a page: its fragment only where that is a path. */
function route(address) {
  const { origin, pathname, search, hash } = new URL(address);
  return origin + pathname + search + (/^#!?\//.test(hash) ? hash : "");
}

function begin(referrer) {
  const { href, pathname, search } = location;
  view = { url: href, path: pathname, search, referrer };
  clearTimeout(pending);
  pending = setTimeout(announce, SETTLED_MS);
}

function announce() {
  clearTimeout(pending);
  pending = 0;
  view.title = document.title;
  for (const { measure } of measures) measure.begin();
  for (const listener of beginnings) listener(view);
}

function end(isLeaving) {
  if (pending || !view || view.isOver) return;
  const page = view;
  view = { ...view, isOver: true };
  const properties = {};
  for (const { name, measure } of measures) properties[name] = measure.end(isLeaving);
  if (measures[0]) sendOf(page, "track", { event: LEFT, properties });
}

function leave() {
  if (pending) announce();
  end(true);
  core.flush(true);
}
