// `consent`: what visitors answer to a consent manager is what they agreed to here, at once.

import { googleWords } from "./google_consent.js";
import { tcfWords } from "./tcf.js";

/** Which purpose rests on which of Google's types, by name, and of TCF's purposes, by number: all of them. */
const MAP = "personalization=personalization_storage 1 5 6;analytics=analytics_storage 1 8;advertising=ad_storage ad_personalization 1 3 4";

const isNumber = name => /^\d+$/.test(name);

function parsed(text) {
  const map = [];
  for (const part of text.split(";")) {
    const [purpose, names] = part.split("=").map(each => each.trim());
    if (names) map.push([purpose, names.split(/\s+/)]);
  }
  return map;
}

/** true where all say yes, false where one says no, undefined where not all were asked, or there are none. */
function all(words) {
  if (words.includes(false)) return false;
  return words[0] && !words.includes(undefined) ? true : undefined;
}

export function consent(core) {
  const map = parsed(core.config.script.dataset.consentMap || MAP);
  const answers = { google: () => undefined, tcf: () => undefined };
  let told = "{}";

  /** Takes what one of the managers knows now: `word(name)` is true, false, or undefined where nobody answered. */
  const hear = (manager, word) => {
    answers[manager] = word;
    const purposes = {};
    for (const [purpose, names] of map) {
      const ofGoogle = all(names.filter(name => !isNumber(name)).map(answers.google));
      const ofTcf = all(names.filter(isNumber).map(answers.tcf));
      // Where both speak, a no of one is a no.
      const isGranted = ofGoogle === false || ofTcf === false ? false : ofGoogle || ofTcf;
      if (isGranted !== undefined) purposes[purpose] = isGranted;
    }
    const text = JSON.stringify(purposes);
    if (text !== told) core.consent(purposes);
    told = text;
  };

  googleWords(core, map, word => hear("google", word));
  tcfWords(word => hear("tcf", word));
}
