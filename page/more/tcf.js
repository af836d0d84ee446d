// IAB's Transparency & Consent Framework, version 2: what the manager tells its listeners once there is an answer.

const LOOK_MS = 200;
const MAX_LOOKS = 50;
const ANSWERED = ["tcloaded", "useractioncomplete"];

export function tcfWords(hear, nLooks = 0) {
  const tcf = window.__tcfapi;
  if (typeof tcf !== "function") {
    // Its stub should stand before us; some pages load it later.
    if (nLooks < MAX_LOOKS) setTimeout(tcfWords, LOOK_MS, hear, nLooks + 1);
    return;
  }
  tcf("addEventListener", 2, (said, isGood) => {
    // Where the GDPR does not apply the source's default does.
    if (!isGood || said.gdprApplies === false || !ANSWERED.includes(said.eventStatus)) return;
    const { consents = {} } = said.purpose || {};
    // Some countries' laws do not ask for the first one, which is storing itself.
    hear(number => (number === "1" && said.purposeOneTreatment) || consents[number] === true);
  });
}
