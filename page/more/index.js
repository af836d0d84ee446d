// The second file: what has a switch (`data-with` of the script tag), on the core's plug.

import { complain, guarded } from "../core/hub.js";
import { consent } from "./consent.js";
import { conversions } from "./conversions.js";
import { forms } from "./forms.js";
import { links } from "./links.js";
import { navigation } from "./navigation.js";
import { offline } from "./offline.js";
import { pages } from "./pages.js";
import { scroll } from "./scroll.js";
import { time } from "./time.js";

/** In this order: what waits is kept as the others have made it. */
const SWITCHES = { consent, pages, time, scroll, forms, conversions, links, offline };

window.nextbest.use(core => {
  const asked = core.config.switches;
  guarded(navigation, core);
  for (const name in SWITCHES) if (asked.includes(name)) guarded(SWITCHES[name], core);
  const unknown = asked.filter(name => name && !SWITCHES[name]);
  if (unknown[0]) complain(`data-with: no switch is called ${unknown.join(", ")}; there are ${Object.keys(SWITCHES).join(", ")}`);
});
