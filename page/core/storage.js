// What is kept in the browser: one cookie of the page's own site. Nobody but identity.js decides whether it may be.

const NAME = "nextbest";

/** undefined where nothing is kept that we wrote, and in frames that may have no cookies. */
export function read() {
  try {
    const kept = JSON.parse(decodeURIComponent(document.cookie.match(`(?:^|; )${NAME}=([^;]+)`)[1]));
    return kept.said || /^\d+-/.test(kept.id) ? kept : undefined;
  } catch {
    return undefined;
  }
}

export function keep(value, days) {
  const text = encodeURIComponent(JSON.stringify(value));
  const secure = location.protocol[4] === "s" ? ";secure" : ""; // https
  try {
    document.cookie = `${NAME}=${text};path=/;samesite=lax;max-age=${days * 86400}${secure}`;
  } catch {
    // a frame that may have none: the page remembers alone
  }
}

/** Keeps nothing any more. */
export function forget() {
  keep("", 0);
}
