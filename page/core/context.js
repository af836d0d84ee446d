// What a request says of the page, as Segment's `context` has it. Of the device only once that is agreed to.

import { may } from "./identity.js";

export function context() {
  const { href, pathname, search } = location;
  const { referrer, title } = document;
  const { language: locale, userAgent } = navigator; // what every request says by itself
  const said = { page: { url: href, path: pathname, search, referrer, title }, locale, userAgent };
  if (may()) {
    said.timezone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const { width, height } = screen;
    said.screen = { width, height };
  }
  return said;
}
