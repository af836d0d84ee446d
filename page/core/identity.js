// Who the visitor is, and what they agreed to.
//
// Where the source's consent default is denied, nothing is read from the browser or stored there before this page
// heard a grant: the id lives in memory. Once it did, what an earlier page stored is who they are.

import { config } from "./settings.js";
import * as storage from "./storage.js";

/** id, user, said (consent by purpose): of this page until they may be stored. */
let known = {};
let userToken;
let isKept;

/** An id nobody can guess: 128 bits of the browser's cryptographic randomness. */
export function freshId() {
  return crypto.getRandomValues(new Uint32Array(4)).join("-");
}

/** What they, or their browser, said of personalization: true, false, or undefined. */
function word() {
  const { personalization, "*": others } = known.said || {};
  return config.isRefusedByBrowser ? false : (personalization ?? others);
}

function isAllowed() {
  return word() ?? config.isGranted;
}

/** The visitor as of now: another tab may have logged out, or refused, since. */
function current() {
  if (isAllowed()) {
    const kept = storage.read();
    // What was kept and is gone was withdrawn: what this page heard before holds no longer.
    if (kept || isKept) known = kept || {};
    isKept = kept;
  }
  known.id ||= freshId();
  return known;
}

function keep() {
  if (isAllowed()) storage.keep(known, config.days[known.user ? 1 : 0]);
}

/** Renews what is kept: it ends so many days after the last visit. */
export function begin() {
  current();
  keep();
}

/** Whether anything may be kept or sent of who they are. */
export function may() {
  current();
  return isAllowed();
}

/** Whether that may still come: what they do meanwhile waits in memory. */
export function mayCome() {
  return may() || word() === undefined;
}

function ids({ id, user }) {
  return { anonymousId: id, userId: user, userToken };
}

/** The ids of this moment, as a decision's `visitor` has them; none of who refused. */
export function visitor() {
  return mayCome() ? ids(current()) : {};
}

/**
 * What they said, purpose by purpose; the browser's word is theirs.
 *
 * A yes that the server has heard is not said again: what they took back elsewhere since would be granted anew.
 */
export function words() {
  const { said, isHeard } = current();
  if (!mayCome()) return { ...said, personalization: false };
  return isHeard ? undefined : said;
}

/** The server has heard what they said. */
export function heard() {
  current().isHeard = 1;
  keep();
}

/**
 * Takes what the visitor answered.
 *
 * Returns who has to be told to the server: the visitor it is about, or nothing where it knows of nobody, or of
 * nothing new.
 */
export function answer(purposes) {
  const wasNamed = known.id && may(); // else nobody was told of an id
  const { id, user } = current();
  known.said = { ...known.said, ...purposes };
  // A word on something else is no reason to look at what is stored.
  const kept = ((config.isGranted || word() !== undefined) && storage.read()) || {};
  known = { id, user, ...kept, said: { ...kept.said, ...known.said } };
  const told = JSON.stringify(known.said) !== JSON.stringify(kept.said) && ids(known);
  if (told) known.isHeard = 0;
  if (isAllowed()) {
    keep();
    return told;
  }
  if (word() === undefined) return undefined;
  // What was stored goes. A refusal is remembered, without an id, where it would not be clear by itself.
  known = { said: known.said };
  storage.forget();
  if (config.isGranted && !config.isRefusedByBrowser) storage.keep(known, config.days[1]);
  return (wasNamed || kept.id) && told;
}

export function identify(user, token) {
  current().user = String(user);
  userToken = token;
  keep();
}

/** After a log-out: somebody else may sit there now. What was said of consent is the browser's, and stays. */
export function reset() {
  const { said } = current();
  known = { id: freshId(), said };
  userToken = undefined;
  keep();
}
