// `conversions`: what is clicked and marked is an event.

import { guarded } from "../core/hub.js";

const TRACK = "data-nextbest-track";

function clicked(core, click) {
  if (click.detail > 1 || (click.type === "auxclick" && click.button !== 1)) return; // a double click is one
  const element = click.composedPath().find(each => each.matches?.(`[${TRACK}]:not(form)`));
  if (!element) return;
  const { nextbestTrack, nextbestValue, nextbestCurrency, nextbestProperties } = element.dataset;
  const properties = nextbestProperties ? JSON.parse(nextbestProperties) : {};
  const value = nextbestValue?.trim() ? Number(nextbestValue) : NaN;
  if (isFinite(value)) properties.value = value;
  if (nextbestCurrency) properties.currency = nextbestCurrency;
  core.sendEvent("track", { event: nextbestTrack, properties });
}

export function conversions(core) {
  for (const type of ["click", "auxclick"]) addEventListener(type, click => guarded(clicked, core, click), true);
}
