// A block was shown once half of it, or half a window of it, was in sight for a second.

import { emit } from "./hub.js";
import { send } from "./transport.js";

const SHARE = 0.5;

/** The blocks of the page by their elements, as they were decided last. */
export const blocks = new Map();

const observer = new IntersectionObserver(
  seen => {
    for (const { target, intersectionRatio, intersectionRect } of seen) {
      const block = blocks.get(target) || {};
      block.isInSight = intersectionRatio >= SHARE || intersectionRect.height >= SHARE * innerHeight;
      time(block);
    }
  },
  { threshold: [0, 0.1, 0.2, 0.3, 0.4, SHARE] },
);

export function watch({ element }) {
  observer.unobserve(element); // it may have been watched for what was decided before
  observer.observe(element);
}

function time(block) {
  const IN_SIGHT_MS = 1_000;
  clearTimeout(block.timer);
  if (block.isInSight && !document.hidden) block.timer = setTimeout(expose, IN_SIGHT_MS, block);
}

addEventListener("visibilitychange", () => blocks.forEach(time));

/** Whether it still holds what was decided: frameworks that take a page over put in what is theirs. */
export function isIntact(block) {
  const { element, nodes } = block;
  return blocks.get(element) === block && (nodes || [element]).some(node => element.contains(node));
}

/** Says that it was shown, once. */
export function expose(block) {
  if (block.isExposed || !isIntact(block)) return;
  block.isExposed = true;
  if (block.isCounted) send("decisionIds", block.decision.decisionId);
  emit("shown", block);
}
