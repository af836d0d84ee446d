// Google's consent mode, as pages tell it: ["consent", "default" | "update", {ad_storage: "granted", …}] in dataLayer.
//
// An update is an answer. A default is none: it says what counts before somebody is asked, and may only narrow what
// counts here.

import { guarded } from "../core/hub.js";

export function googleWords(core, map, hear) {
  const defaults = {};
  const updates = {};

  const read = entry => {
    const [command, kind, types] = Array.from(entry?.length ? entry : []);
    if (command !== "consent" || !types) return;
    const known = { default: defaults, update: updates }[kind];
    if (!known) return;
    for (const type in types) {
      const isGranted = { granted: true, denied: false }[types[type]];
      // Of defaults for several regions the strictest counts: a page does not know which one it is in.
      if (isGranted !== undefined) known[type] = isGranted && (known !== defaults || known[type] !== false);
    }
    if (known === updates) hear(type => updates[type]);
    else narrow();
  };

  const narrow = () => {
    const names = (map.find(([purpose]) => purpose === "personalization") || [, []])[1];
    if (names.some(name => defaults[name] === false)) core.config.isGranted = false;
  };

  const layer = (window.dataLayer ||= []);
  const push = layer.push;
  layer.push = function (...entries) {
    const length = push.apply(this, entries);
    for (const entry of entries) guarded(read, entry);
    return length;
  };
  for (const entry of layer.slice()) guarded(read, entry);
}
