// Pages within one document: their addresses change by the history, their blocks appear by the DOM.

import { cameFrom } from "./context.js";
import { emit } from "./hub.js";

let address = location.href;

function look() {
  const before = address;
  if (location.href === before) return;
  address = location.href;
  cameFrom(before);
  emit("navigated", address, before);
}

for (const name of ["pushState", "replaceState"]) {
  const original = history[name];
  history[name] = function (...given) {
    original.apply(this, given);
    look();
  };
}
addEventListener("popstate", look);
