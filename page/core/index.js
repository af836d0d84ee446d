// The core, from its beginning: `window.nextbest`, and what the page asked of it before it was here.

import * as blocks from "./blocks.js";
import "./clicks.js";
import { emit, guarded, on } from "./hub.js";
import * as identity from "./identity.js";
import { loadSecond } from "./second.js";
import { config } from "./settings.js";
import { drop, flush, send, sendEvent, tell } from "./transport.js";

const api = {
  track(name, properties) {
    sendEvent("track", { event: name, properties });
  },
  page(name, properties) {
    sendEvent("page", { name, properties });
  },
  identify(userId, traits, proof) {
    flush(); // what waits was done by whoever it was before
    const isNamed = userId && typeof userId !== "object"; // else traits stand in its place, or nobody is logged in
    if (isNamed) identity.identify(userId, proof?.userToken);
    sendEvent("identify", { traits: isNamed ? traits : userId || traits });
  },
  reset() {
    flush();
    drop(); // what still waits is of somebody who was not asked yet
    identity.reset();
  },
  consent(answers) {
    const purposes = {};
    for (const purpose in answers) {
      const word = answers[purpose];
      // Who was not asked yet has not answered; what is no yes is a no.
      if (word != null) purposes[purpose.toLowerCase()] = /^(true|granted)$/.test(word);
    }
    const told = identity.answer(purposes);
    const isAllowed = identity.may();
    const language = document.documentElement.lang;
    if (!identity.mayCome()) drop();
    if (told) tell({ visitor: told, purposes, language, collectionMethod: "page" });
    emit("consent", purposes, isAllowed);
    flush();
    if (isAllowed) blocks.decideAgreed();
  },
  content: blocks.content,
  refresh: blocks.refresh,
  on,
  /** Gives the second file what it hooks into. */
  use(plug) {
    plug({
      config,
      on,
      emit,
      send,
      sendEvent,
      flush,
      may: identity.may,
      visitor: identity.visitor,
      consent: api.consent,
    });
  },
};

function start() {
  const before = window.nextbest;
  if (before?.use) return; // another tag was quicker
  const nextbest = { push: (...calls) => calls.forEach(([name, ...given]) => guarded(api[name], ...given)) };
  for (const name in api) nextbest[name] = (...given) => guarded(api[name], ...given);
  window.nextbest = nextbest;
  if (before?.forEach) nextbest.push(...before);
  identity.begin();
  addEventListener("visibilitychange", () => document.hidden && leave());
  addEventListener("pagehide", leave);
  loadSecond();
  if (document.readyState !== "loading") return look();
  // One call decides all blocks, once they are there; a long page is not waited for.
  const PARSED_WAIT_MS = 100;
  addEventListener("DOMContentLoaded", look);
  setTimeout(look, PARSED_WAIT_MS);
}

/** The last moment of which a page can be sure: it may be shown again, or never. */
function leave() {
  emit("hidden");
  flush(true);
}

const observer = new MutationObserver(() => guarded(blocks.scan, performance.now()));

/** Decides the blocks that are there, and from now on those that appear; called again it changes nothing. */
function look() {
  guarded(blocks.scan, 0);
  observer.observe(document, { childList: true, subtree: true, attributeFilter: ["data-nextbest"] });
}

if (config.key) {
  if (document.prerendering) document.addEventListener("prerenderingchange", start);
  else start();
}
