// `offline`: what could not be sent outlasts the page, in localStorage, where anything may be kept there. It is
// sent when the browser is online again, or by the next page. What may arrive twice counts once, by its messageId.

const MAX_ITEMS = 100;
const MAX_CHARS = 8_000; // of one
const KEPT_MS = 24 * 3_600_000; // what is older would not count as of its time

/** What waits, by its key, and whether the last attempt failed. */
const waiting = new Map();
let hasFailed = false;
let prefix;

const isOffline = () => hasFailed || !navigator.onLine;
const isRefusal = ({ status }) => status < 500 && status !== 429;
const keyOf = item => prefix + (item.messageId || item);
const kept = () => Object.keys(localStorage).filter(key => key.startsWith(prefix));

function wait(list, item) {
  waiting.set(keyOf(item), [list, item]);
  if (waiting.size > MAX_ITEMS) waiting.delete(waiting.keys().next().value);
}

function store(core, key) {
  if (!core.may() || localStorage.getItem(key)) return;
  const [list, item] = waiting.get(key);
  const text = JSON.stringify({ atMs: Date.now(), list, item: list === "events" ? settled(core, item) : item });
  if (text.length > MAX_CHARS) return;
  const others = kept();
  if (others.length >= MAX_ITEMS) localStorage.removeItem(oldest(others));
  localStorage.setItem(key, text);
}

/** An event with whose it is; the user's token is nothing to leave lying about. */
function settled(core, event) {
  const { userToken, ...others } = event.anonymousId ? event : { ...event, ...core.visitor() };
  return others;
}

function oldest(keys) {
  const atMs = key => read(key)?.atMs || 0;
  return keys.reduce((first, key) => (atMs(key) < atMs(first) ? key : first));
}

function read(key) {
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return undefined; // somebody else wrote there
  }
}

function done(items) {
  for (const item of items) {
    waiting.delete(keyOf(item));
    localStorage.removeItem(keyOf(item));
  }
}

/** Sends what earlier pages, or other tabs, could not. */
function resume(core) {
  // Who has no id refused, on an earlier page without this switch perhaps.
  if (!core.may()) return core.visitor().anonymousId || forget();
  for (const key of kept()) {
    if (waiting.has(key)) continue;
    const { atMs, list, item } = read(key) || {};
    if (item && Math.abs(Date.now() - atMs) < KEPT_MS) core.send(list, item);
    else localStorage.removeItem(key);
  }
  core.flush();
}

function forget() {
  waiting.clear();
  for (const key of kept()) localStorage.removeItem(key);
}

function storeAll(core) {
  for (const key of waiting.keys()) store(core, key);
}

export function offline(core) {
  prefix = `nextbest/${core.config.key}/`;
  try {
    localStorage; // a browser that keeps nothing refuses even this
  } catch {
    return;
  }
  core.on("queued", (list, item) => {
    wait(list, item);
    if (isOffline()) store(core, keyOf(item));
  });
  core.on("tried", (list, items, error) => {
    hasFailed = !!error && !isRefusal(error);
    if (!hasFailed) return done(items);
    for (const item of items) wait(list, item);
    storeAll(core);
  });
  core.on("hidden", () => {
    // What is online goes out as a beacon now, and is not heard of again.
    if (isOffline()) storeAll(core);
    else waiting.clear();
  });
  core.on("consent", (purposes, isAllowed) => {
    if (isAllowed) return resume(core);
    forget();
  });
  addEventListener("online", () => resume(core));
  resume(core);
}
