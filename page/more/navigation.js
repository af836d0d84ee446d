// Pages within one document: their addresses change by the history, their blocks appear by the DOM.

let address = location.href;

/** Says `navigated` of every change of the address. */
export function navigation(core) {
  const look = () => {
    const before = address;
    if (location.href === before) return;
    address = location.href;
    core.emit("navigated", address, before);
  };
  for (const name of ["pushState", "replaceState"]) {
    const original = history[name];
    history[name] = function (...given) {
      original.apply(this, given);
      look();
    };
  }
  addEventListener("popstate", look);
}
