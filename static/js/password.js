// @ts-check

for (const input of document.querySelectorAll('input[type="password"]')) {
  if (input instanceof HTMLInputElement) addToggle(input);
}

/**
 * Puts a button behind the field that shows what was typed, and hides it again.
 * @param {HTMLInputElement} input
 */
function addToggle(input) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "show-password";
  button.setAttribute("aria-controls", input.id);
  const name = input.labels?.[0]?.textContent?.toLowerCase() ?? "password";
  const box = document.createElement("div");
  box.className = "with-button";
  input.replaceWith(box);
  box.append(input, button);

  /** @param {boolean} shown */
  const show = (shown) => {
    input.type = shown ? "text" : "password";
    button.textContent = shown ? "Hide" : "Show";
    button.setAttribute("aria-label", `${button.textContent} ${name}`);
  };
  show(false);
  button.addEventListener("click", () => show(input.type === "password"));
  input.form?.addEventListener("submit", () => show(false)); // or the browser would not offer to save it
}
