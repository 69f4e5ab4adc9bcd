/**
 * Show the bank's 3D Secure challenge over the shop's page and wait until it is over, either way. False if it did not load.
 * A modal <dialog> keeps the page behind it inert and gives the focus back by itself.
 *
 * @param {string} origin
 * @param {{key: string, source: string, amount?: number, currency?: string}} details
 * @returns {Promise<boolean>}
 */
function showChallenge(origin, details) {
  return new Promise((resolve) => {
    const dialog = document.createElement("dialog");
    dialog.setAttribute("aria-label", "3D Secure authentication");
    const finish = (shown) => {
      dialog.close();
      frame.remove();
      dialog.remove();
      resolve(shown);
    };
    const frame = new Frame({
      origin,
      path: `/3ds/challenge?source=${encodeURIComponent(details.source)}`,
      title: "3D Secure authentication challenge",
      hello: () => details,
      on: { done: () => finish(true), failed: () => finish(false) },
    });
    // Escape belongs to the challenge: it counts as the customer giving up, which the bank must hear.
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      frame.tell("giveUp");
    });
    const whole = { position: "fixed", inset: "0", width: "100%", height: "100%", border: "0" };
    const bare = { maxWidth: "none", maxHeight: "none", margin: "0", padding: "0", overflow: "hidden" };
    Object.assign(dialog.style, whole, bare, { background: "transparent" });
    Object.assign(frame.node.style, whole, { colorScheme: "light" });
    dialog.append(frame.node);
    document.body.append(dialog);
    dialog.showModal();
    frame.node.focus();
  });
}
