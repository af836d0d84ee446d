// What is clicked in a block, by mouse, keyboard or middle button: sent at once, for it may lead away.

import { shownBlock } from "./blocks.js";
import { emit, guarded } from "./hub.js";
import { freshId } from "./identity.js";
import { expose } from "./impressions.js";
import { flush, send, sendEvent } from "./transport.js";

const CLICKED = "a[href],button,[type=submit],[role=button],[data-nextbest-reward]";

function clicked(click) {
  if (click.button > 1) return; // of the others, the middle one opens links
  const element = click.composedPath().find(each => each.matches?.(CLICKED));
  const block = element && shownBlock(click.target);
  if (block) count(block, element);
}

/** Each name counts once a decision, and so do clicks without one. */
function count(block, element) {
  const name = element.getAttribute("data-nextbest-reward");
  const { decisionId, contentId, placement } = block.decision;
  expose(block);
  block.rewarded ||= new Set();
  if (block.isCounted && !block.rewarded.has(name)) {
    block.rewarded.add(name);
    if (name) send("rewards", { decisionId, name, value: 1, messageId: freshId() });
    else {
      const properties = { decisionId, contentId, placement, url: element.href };
      sendEvent("track", { event: "Content Clicked", properties, ...block.who });
    }
  }
  flush(true);
  emit("clicked", block, element);
}

for (const type of ["click", "auxclick"]) {
  // While it is on its way down: nobody in the page can keep it from us.
  addEventListener(type, click => guarded(clicked, click), true);
}
