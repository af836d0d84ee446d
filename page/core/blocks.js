// The blocks of the page: found, decided in one call, filled, each once. A block keeps its default content where
// anything fails, and where the answer comes when its reader sees the default already.

import { context } from "./context.js";
import { complain, emit, guarded } from "./hub.js";
import { may, visitor, words } from "./identity.js";
import { blocks, expose, isIntact, watch } from "./impressions.js";
import { ask, flush } from "./transport.js";
import { trusted } from "./trusted.js";

const ATTRIBUTE = "data-nextbest";
const CONTENT = "nextbest:content";

/** The block an element belongs to, if it shows what was decided. */
export function shownBlock(element) {
  const block = blocks.get(element.closest(`[${ATTRIBUTE}]`));
  return block?.isShown && isIntact(block) ? block : undefined;
}

/** Decides the blocks that are new, all in one call. */
export function scan(sinceMs) {
  const MAX_ASKED = 50; // placements of one call
  const asked = new Map();
  blocks.forEach((_, element) => element.isConnected || blocks.delete(element));
  for (const element of document.querySelectorAll(`[${ATTRIBUTE}]`)) {
    const placement = element.getAttribute(ATTRIBUTE);
    if (!placement || blocks.get(element)?.placement === placement) continue;
    const block = { element, placement, sinceMs, isCounted: may(), who: visitor() };
    blocks.set(element, block);
    if (isUnseen(block)) asked.get(placement)?.push(block) || asked.set(placement, [block]);
  }
  const all = [...asked];
  while (all[0]) decide(all.splice(0, MAX_ASKED), asked).catch(complain);
}

/** Decides every block anew, under the reader's eyes: the page asks for it. */
export function refresh() {
  blocks.clear();
  scan(Infinity);
}

/** Decides anew, now that the visitor agreed, what was decided without that and nobody has seen yet. */
export function decideAgreed() {
  if (!blocks.size) return; // they wait for the end of the document
  blocks.forEach((block, element) => block.isCounted || !isUnseen(block) || blocks.delete(element));
  scan(0);
}

/** Calls `show` with what is decided for a placement, also if it was already: the page shows it itself. */
export function content(placement, show) {
  addEventListener(CONTENT, event => {
    const { target, detail } = event;
    if (detail.placement !== placement) return;
    show(detail.content[detail.content.type] ?? detail.content.url, detail, target);
    event.preventDefault();
  });
  blocks.forEach(block => block.decision && !block.isShown && fill(block));
}

async function decide(some, asked) {
  const placements = some.map(([placement, { length }]) => (length > 1 ? { placement, slots: length } : placement));
  const said = { ...context(), consent: words() };
  const body = { visitor: visitor(), placements, context: said, activate: false, partial: true };
  const { decisions, warnings } = await (await ask("decide", body)).json();
  if (warnings[0]) complain(warnings); // of a placement that nobody knows, or that has fewer slots
  for (const decision of decisions) {
    const block = asked.get(decision.placement)?.[decision.slot];
    // The same element may have been given another placement, or be decided anew, since.
    if (!block || blocks.get(block.element) !== block) continue;
    block.decision = decision;
    guarded(fill, block);
  }
  emit("decided", decisions);
}

function fill(block) {
  const { element, decision } = block;
  const { type, html, url } = decision.content;
  if (!isUnseen(block)) return;
  const event = new CustomEvent(CONTENT, { bubbles: true, cancelable: true, detail: decision });
  if (element.dispatchEvent(event)) {
    if (type === "redirect" && element.hasAttribute(`${ATTRIBUTE}-redirect`)) return follow(block, url);
    if (type !== "html") return; // nobody was there who shows it
    element.innerHTML = trusted("createHTML", html);
    if (html) block.nodes = [...element.childNodes];
  }
  block.isShown = true;
  element.setAttribute(`${ATTRIBUTE}-shown`, ""); // ends the animation that hides it
  watch(block);
}

function follow(block, url) {
  if (new URL(url, location).href === location.href) return;
  expose(block);
  flush(true);
  location.replace(url);
}

/** Whether a change of the block would be seen by nobody. */
function isUnseen({ element, sinceMs, isShown }) {
  const WAIT_MS = 300;
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  const top = element.getClientRects()[0]?.top;
  // Before the first paint nobody has seen anything; what the page asks for anew may change at any time.
  if (!paint || sinceMs === Infinity || !(top < innerHeight)) return true;
  const { visibility, animationName } = getComputedStyle(element);
  const isInTime = performance.now() - Math.max(sinceMs, paint.startTime) < WAIT_MS;
  // With the style it was hidden, and is not any more.
  return !isShown && (visibility === "hidden" || (isInTime && !animationName.includes("nextbest")));
}
