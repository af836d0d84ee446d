// Who the visitor is, and what they agreed to.
//
// Where the source's consent default is denied, nothing is read from the browser or stored there before this page
// heard a grant: the id lives in memory. Once it did, what an earlier page stored is who they are.

import { config } from "./settings.js";
import * as storage from "./storage.js";

const NOBODY = "anonymous"; // an id that the server takes for none: a refusal needs no name

/** id, user, said (consent by purpose): of this page until they may be stored. */
let known = {};
let userToken;

/** An id nobody can guess: 128 bits of the browser's cryptographic randomness. */
export function freshId() {
  return crypto.getRandomValues(new Uint32Array(4)).join("-");
}

/** What they said of personalization: true, false, or undefined. */
function word() {
  const { personalization, "*": others } = known.said || {};
  return personalization ?? others;
}

function isAllowed() {
  return !config.isRefusedByBrowser && (word() ?? config.isGranted);
}

/** The visitor as of now: another tab may have logged out, or refused, since. */
function current() {
  if (isAllowed()) known = storage.read() || known;
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
  return may() || (word() === undefined && !config.isRefusedByBrowser);
}

/** The ids of this moment, as a decision's `visitor` has them. */
export function visitor() {
  const { id, user } = current();
  return mayCome() ? { anonymousId: id, userId: user, userToken } : { anonymousId: NOBODY };
}

/** What they said, purpose by purpose. */
export function words() {
  return current().said;
}

/**
 * Takes what the visitor answered.
 *
 * Returns who has to be told to the server: the visitor it is about, or undefined where it knows of nobody, or of
 * nothing new.
 */
export function answer(purposes) {
  const wasNamed = known.id && may(); // else nobody was told of an id
  const { id, user } = current();
  const kept = storage.read() || {};
  const who = { anonymousId: kept.id || id, userId: kept.user || user, userToken };
  known = { id: who.anonymousId, user: who.userId, said: { ...kept.said, ...known.said, ...purposes } };
  const isNew = JSON.stringify(known.said) !== JSON.stringify(kept.said);
  if (!isAllowed()) {
    // What was stored goes. A refusal is remembered, without an id, where it would not be clear by itself.
    known = { said: known.said };
    storage.forget();
    if (config.isGranted && word() === false) storage.keep(known, config.days[1]);
    return isNew && (wasNamed || kept.id) ? who : undefined;
  }
  keep();
  return isNew ? who : undefined;
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
