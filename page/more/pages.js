// `pages`: a page event for each view.

import { campaign } from "./campaign.js";
import { onView, sendOf } from "./views.js";

export function pages(core) {
  campaign(core);
  onView(core, page => sendOf(page, "page"));
}
