// `scroll`: how much of a view was scrolled through, in steps of 25 %. What fits into the window is seen whole.

import { measured } from "./views.js";

const STEP = 25;
const ROUNDED_PX = 2; // browsers scroll by parts of a pixel, and stop short of the end

let bottom = 0;
let height = 0;
let frame = 0;

function look() {
  frame = 0;
  const page = document.scrollingElement;
  bottom = Math.max(bottom, scrollY + innerHeight);
  height = Math.max(height, page.scrollHeight);
}

function later() {
  frame ||= requestAnimationFrame(look);
}

const measure = {
  begin() {
    bottom = height = 0;
    look();
  },
  end(isLeaving) {
    if (isLeaving) look(); // else the next page may stand there already
    return Math.min(100, STEP * Math.floor(((100 / STEP) * (bottom + ROUNDED_PX)) / height));
  },
};

export function scroll(core) {
  measured(core, "scrollPercent", measure);
  addEventListener("scroll", later, { passive: true });
  addEventListener("load", later);
}
