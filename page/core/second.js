// The second file: everything that has a switch. It is loaded only where one is on.

import { config } from "./settings.js";
import { trusted } from "./trusted.js";

/* global SECOND_FILE, SECOND_INTEGRITY */
export function loadSecond() {
  if (!config.switches) return;
  const script = document.createElement("script");
  script.src = trusted("createScriptURL", `${config.host}/sdk/${SECOND_FILE}`);
  script.integrity = SECOND_INTEGRITY;
  script.crossOrigin = "";
  script.nonce = config.script.nonce;
  document.head.append(script);
}
