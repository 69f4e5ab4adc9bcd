// @ts-check
import { ApiError, post } from "./lib/api.js";
import { say, setBusy } from "./lib/status.js";

for (const form of document.querySelectorAll("form[data-json]")) {
  if (form instanceof HTMLFormElement) form.addEventListener("submit", (event) => send(event, form));
}

addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload(); // restored by the back button, its buttons busy and its facts old
});

/**
 * Sends the form as JSON; then goes where the answer or the form says, or shows the page anew with what has come of it.
 * @param {SubmitEvent} event
 * @param {HTMLFormElement} form
 */
async function send(event, form) {
  event.preventDefault();
  const button = /** @type {HTMLButtonElement} */ (form.querySelector("button:not([type=button])"));
  const message = /** @type {HTMLElement} */ (form.querySelector("[data-message]"));
  if (button.disabled) return;
  setBusy(button, true);
  say(message, "");
  try {
    const { url = form.dataset.done } = await post(form.action, fields(form));
    return url ? location.assign(url) : location.reload();
  } catch (error) {
    const known = error instanceof ApiError ? error : null;
    say(message, known?.message ?? "That did not work. Please try again.", {
      action: known?.url ? { text: "Go there", url: known.url } : null,
    });
    setBusy(button, false);
    button.focus();
  }
}

/**
 * The form's fields as JSON values, `address.city` within `address`; what was left empty is left out.
 * @param {HTMLFormElement} form
 */
function fields(form) {
  /** @type {Record<string, any>} */
  const found = {};
  for (const [name, value] of new FormData(form)) {
    if (name === "csrf_token" || typeof value !== "string" || value === "") continue;
    const [outer, inner] = name.split(".");
    if (inner) found[outer] = { ...found[outer], [inner]: value };
    else found[name] = name === "atPeriodEnd" ? value === "true" : value;
  }
  return found;
}
