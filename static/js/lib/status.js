// @ts-check

/** @typedef {{text: string, url?: string | null, onClick?: () => void}} Action */

/**
 * Shows `text` in a live region, with a way on behind it if there is one; an empty text clears the region.
 * @param {HTMLElement} region
 * @param {string} text
 * @param {{level?: "info" | "warning" | "error", action?: Action | null}} [options]
 */
export function say(region, text, { level = "error", action = null } = {}) {
  region.classList.toggle("notice-error", level === "error");
  region.classList.toggle("notice-warning", level === "warning");
  if (!text) return region.replaceChildren();
  const words = document.createElement("span");
  words.textContent = text;
  region.replaceChildren(words, ...(action ? [wayOn(action)] : []));
}

/** @param {Action} action */
function wayOn({ text, url, onClick }) {
  const element = document.createElement(url ? "a" : "button");
  element.textContent = text;
  if (element instanceof HTMLAnchorElement) {
    element.href = url ?? "";
  } else {
    element.setAttribute("type", "button");
    element.className = "button button-small button-quiet";
    element.addEventListener("click", () => onClick?.());
  }
  return element;
}

/**
 * A busy button can't be pressed, and says so to a screen reader.
 * @param {HTMLButtonElement} button
 * @param {boolean} busy
 */
export function setBusy(button, busy) {
  button.disabled = busy;
  button.setAttribute("aria-busy", String(busy));
}
