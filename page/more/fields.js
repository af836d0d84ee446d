// What a form's fields say: those alone that are marked, and never what is secret.

const NEVER = /^(password|hidden|file|submit|button|reset|image)$/;
const SECRET = /(^|\s)(cc-\S+|one-time-code|\S+-password)(\s|$)/i;
const CARD = /^\d{13,19}$/;
const MAX_CHARS = 256;

/** What the marked fields of a form say, by the name the mark gives them, or by their own. */
export function said(form, mark) {
  const found = {};
  for (const field of form.elements) {
    const name = field.getAttribute(mark) || field.name;
    const value = field.hasAttribute(mark) && name ? valueOf(field) : undefined;
    if (value !== undefined) found[name] = value;
  }
  return found;
}

/** What a field says; undefined where it says nothing, or nothing that may be told. */
export function valueOf(field) {
  const { type } = field;
  if (NEVER.test(type) || SECRET.test(field.getAttribute("autocomplete"))) return undefined;
  if (type === "checkbox") return field.checked;
  if (type === "radio" && !field.checked) return undefined;
  if (type === "select-multiple") return Array.from(field.selectedOptions, option => option.value);
  const text = [...(field.value ?? "").trim()].slice(0, MAX_CHARS).join("");
  if (!text || isCard(text)) return undefined;
  return type === "number" || type === "range" ? Number(text) : text;
}

/** Whether it may be the number of a card: its digits' weighted sum (Luhn's) ends in 0. */
function isCard(text) {
  const digits = text.replace(/[\s-]/g, "");
  if (!CARD.test(digits)) return false;
  const weighted = [...digits].reverse().map((digit, place) => (place % 2 ? 2 * digit - (digit > 4 ? 9 : 0) : +digit));
  return weighted.reduce((sum, each) => sum + each) % 10 === 0;
}
