// What the script tag says, and what the server put in front of this file where the address names the key.
// What nobody said counts as denied.

const script = document.currentScript;
const said = script.dataset;
const address = new URL(script.src);
const ofSource = window.nextbestSettings || {};

export const config = {
  script,
  key: said.key || address.searchParams.get("key"),
  host: said.host || address.href.replace(/\/sdk\/.*/, ""),
  switches: said.with?.split(" "),
  /** What counts before the visitor was asked. */
  isGranted: (ofSource.consent || said.consent) === "granted",
  /** Whether the browser's own refusal of sale and sharing is one of personalization here. */
  isRefusedByBrowser: navigator.globalPrivacyControl && ofSource.gpcRefuses !== false,
  /** How long an id is kept in the browser: an anonymous one, a user's. */
  days: ofSource.days || [30, 395],
};
