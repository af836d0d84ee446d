// What a request says of the page, as Segment's `context` has it. Of the device only once that is agreed to.

import { may } from "./identity.js";

let referrer = document.referrer;

/** The page that led here, also within one document. */
export function cameFrom(address) {
  referrer = address;
}

export function context() {
  const { href, pathname, search } = location;
  const said = { page: { url: href, path: pathname, search, referrer, title: document.title } };
  said.locale = navigator.language;
  said.userAgent = navigator.userAgent; // what every request says by itself
  if (may()) {
    said.timezone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    said.screen = { width: screen.width, height: screen.height };
  }
  return said;
}
