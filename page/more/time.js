// `time`: for how many seconds a view was looked at. It counts while the page is visible, until a minute after the
// last sign of somebody being there.

import { measured } from "./views.js";

const QUIET_MS = 60_000;
const MAX_S = 3_600;
const SIGNS = ["pointerdown", "pointermove", "keydown", "wheel", "touchstart"]; // pages scroll by themselves, too

let totalMs;
let countedMs;
let signMs;
let isVisible;

function count() {
  const nowMs = performance.now();
  if (isVisible) totalMs += Math.max(0, Math.min(nowMs, signMs + QUIET_MS) - countedMs);
  countedMs = nowMs;
  isVisible = !document.hidden;
}

function sign() {
  count();
  signMs = countedMs;
}

const measure = {
  begin() {
    totalMs = 0;
    isVisible = false; // what was before is another view's
    sign();
  },
  end() {
    count();
    return Math.min(MAX_S, Math.round(totalMs / 1_000));
  },
};

export function time(core) {
  measured(core, "visibleSeconds", measure);
  for (const name of SIGNS) addEventListener(name, sign, { capture: true, passive: true });
  document.addEventListener("visibilitychange", sign);
}
