// Which campaign led here: `context.campaign` of every event, by Segment's names. Kept as long as the tab, where
// anything may be.

const NAMES = { source: "source", medium: "medium", campaign: "name", term: "term", content: "content" };
const MAX_CHARS = 100;
const KEPT = "nextbest.campaign";

let known;

function read() {
  const asked = new URLSearchParams(location.search);
  const found = {};
  for (const name in NAMES) {
    const value = asked.get(`utm_${name}`);
    if (value) found[NAMES[name]] = [...value].slice(0, MAX_CHARS).join("");
  }
  if (Object.keys(found)[0]) known = found;
}

function keep() {
  try {
    if (known) sessionStorage.setItem(KEPT, JSON.stringify(known));
    else known = JSON.parse(sessionStorage.getItem(KEPT)) || undefined;
  } catch {
    // a browser that keeps nothing: the page remembers alone
  }
}

function forget() {
  try {
    sessionStorage.removeItem(KEPT);
  } catch {
    // nothing was kept
  }
}

export function campaign(core) {
  const look = () => {
    read();
    if (core.may()) keep();
  };
  look();
  core.on("navigated", look);
  core.on("consent", (purposes, isAllowed) => (isAllowed ? keep() : forget()));
  core.on("queued", (list, item) => {
    if (known && item.context) item.context.campaign ||= known;
  });
}
