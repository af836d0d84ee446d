// Who wants to hear of what: the core says what happens, the second file and the page listen.

const listeners = {};

export function on(name, listener) {
  (listeners[name] ||= []).push(listener);
}

export function emit(name, ...what) {
  for (const listener of listeners[name] || []) guarded(listener, ...what);
}

/** Calls what is not ours, or may fail: the page goes on whatever it throws. */
export function guarded(callee, ...given) {
  try {
    return callee(...given);
  } catch (error) {
    complain(error);
  }
}

export const complain = what => console.warn("nextbest:", what);
