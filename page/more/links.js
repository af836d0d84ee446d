// `links`: what leads to another site, or is downloaded. Queries stay behind: other sites put anything into them.

import { guarded } from "../core/hub.js";

const FILES = /\.(pdf|zip|gz|7z|rar|dmg|exe|msi|apk|docx?|xlsx?|pptx?|od[tsp]|csv|txt|epub|mp[34]|mov|wav)$/i;

function clicked(core, click) {
  if (click.detail > 1 || (click.type === "auxclick" && click.button !== 1)) return;
  const link = click.composedPath().find(each => each.matches?.("a[href]"));
  if (!link || !/^https?:$/.test(link.protocol)) return;
  const url = link.origin + link.pathname;
  if (link.hasAttribute("download") || FILES.test(link.pathname))
    core.sendEvent("track", { event: "File Downloaded", properties: { url, fileName: link.pathname.split("/").pop() } });
  else if (link.host !== location.host)
    core.sendEvent("track", { event: "Outbound Link Clicked", properties: { url, host: link.host } });
}

export function links(core) {
  for (const type of ["click", "auxclick"]) addEventListener(type, click => guarded(clicked, core, click), true);
}
