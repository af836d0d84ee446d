// A block was shown once half of it, or half a window of it, was in sight for a second.

import { emit } from "./hub.js";
import { send } from "./transport.js";

const IN_SIGHT_MS = 1_000;
const SHARE = 0.5;
const blocks = new WeakMap();
const inSight = new Set();

const observer = new IntersectionObserver(
  seen => {
    for (const { target, isIntersecting, intersectionRatio, intersectionRect } of seen) {
      const block = blocks.get(target);
      const isTall = intersectionRect.height >= SHARE * innerHeight;
      inSight[isIntersecting && (intersectionRatio >= SHARE || isTall) ? "add" : "delete"](block);
      time(block);
    }
  },
  { threshold: [0, 0.1, 0.2, 0.3, 0.4, SHARE] },
);

export function watch(block) {
  forget(blocks.get(block.element) || block); // one that was decided before for the same element
  blocks.set(block.element, block);
  observer.observe(block.element);
}

function forget(block) {
  clearTimeout(block.timer);
  observer.unobserve(block.element);
  inSight.delete(block);
}

function time(block) {
  clearTimeout(block.timer);
  if (inSight.has(block) && !document.hidden) block.timer = setTimeout(expose, IN_SIGHT_MS, block);
}

addEventListener("visibilitychange", () => inSight.forEach(time));

/** Says that it was shown, once. */
export function expose(block) {
  if (block.isExposed) return;
  block.isExposed = true;
  forget(block);
  if (block.isCounted) send("decisionIds", block.decision.decisionId);
  emit("shown", block);
}
