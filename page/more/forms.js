// `forms`: who sends a form that is marked says who they are, or that something happened.

import { said, valueOf } from "./fields.js";
import { guarded } from "../core/hub.js";

const IDENTIFY = "data-nextbest-identify";
const TRACK = "data-nextbest-track";

function sent(core, form) {
  if (form.hasAttribute(IDENTIFY)) identify(core, form);
  const event = form.getAttribute(TRACK);
  if (event) core.sendEvent("track", { event, properties: said(form, "data-nextbest-property") });
}

function identify(core, form) {
  const traits = said(form, "data-nextbest-trait");
  const named = form.elements.namedItem(form.getAttribute(IDENTIFY));
  const userId = named instanceof Element ? valueOf(named) : undefined;
  if (userId) window.nextbest.identify(userId, traits);
  else if (Object.keys(traits)[0]) core.sendEvent("identify", { traits });
}

export function forms(core) {
  // On its way down: the page may keep it from going further.
  addEventListener("submit", event => guarded(sent, core, event.target), true);
}
