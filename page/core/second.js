// The second file: everything that has a switch. It is loaded only where one is on.

import { config } from "./settings.js";
import { trusted } from "./trusted.js";

/* global SECOND_FILE, SECOND_INTEGRITY */
export function loadSecond() {
  if (!config.switches) return;
  const { nonce } = config.script;
  const src = trusted("createScriptURL", `${config.host}/sdk/${SECOND_FILE}`);
  const script = { src, integrity: SECOND_INTEGRITY, crossOrigin: "", nonce };
  document.head.append(Object.assign(document.createElement("script"), script));
}
