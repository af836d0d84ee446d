// Text as pages take it that insist on Trusted Types, by a policy that is made when it is needed first.

let policy;

function made() {
  const as = text => text; // HTML was cleaned when it was published; addresses are our own
  return (policy ||= trustedTypes.createPolicy("nextbest", { createHTML: as, createScriptURL: as }));
}

export const trustedHtml = html => (window.trustedTypes ? made().createHTML(html) : html);
export const trustedAddress = url => (window.trustedTypes ? made().createScriptURL(url) : url);
