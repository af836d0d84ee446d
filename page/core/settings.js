// What the script tag says, and what the server put in front of this file where the address names the key.
// What nobody said counts as denied.

// Modules, and tag managers that put in our text, have no current script, or one that is theirs.
const { currentScript } = document;
const script = currentScript?.src ? currentScript : document.querySelector("script[src*='/sdk/nextbest']");
const said = script.dataset;
const address = new URL(script.src, location);
const ofSource = window.nextbestSettings || {};

export const config = {
  script,
  key: said.key || address.searchParams.get("key"),
  host: (said.host || address.href).replace(/\/(sdk\/.*)?$/, ""),
  switches: said.with?.split(/\s+/),
  /** What counts before the visitor was asked. */
  isGranted: (ofSource.consent || said.consent) === "granted",
  /** Whether the browser's own refusal of sale and sharing is one of personalization here. */
  isRefusedByBrowser: navigator.globalPrivacyControl && ofSource.gpc !== false,
  /** How long an id is kept in the browser: an anonymous one, a user's. */
  days: ofSource.days || [30, 395],
};
