// Text as pages take it that insist on Trusted Types, by a policy that is made when it is needed first.

let policy;

/** `kind`: `createHTML`, of what was cleaned when it was published; `createScriptURL`, of addresses of our own. */
export function trusted(kind, text) {
  const same = each => each;
  policy ||= window.trustedTypes?.createPolicy("nextbest", { createHTML: same, createScriptURL: same });
  return policy ? policy[kind](text) : text;
}
