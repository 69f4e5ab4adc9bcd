/**
 * Show the bank's 3D Secure challenge over the shop's page and wait until it is over, either way.
 * A modal <dialog> keeps the page behind it inert and gives the focus back by itself.
 *
 * @param {string} origin
 * @param {{key: string, source: string, amount?: number, currency?: string}} details
 * @returns {Promise<void>}
 */
function showChallenge(origin, details) {
  return new Promise((resolve) => {
    const dialog = document.createElement("dialog");
    dialog.setAttribute("aria-label", "3D Secure authentication");
    const finish = () => {
      dialog.close();
      frame.remove();
      dialog.remove();
      resolve();
    };
    const frame = new Frame({
      origin,
      path: `/3ds/challenge?source=${encodeURIComponent(details.source)}`,
      title: "3D Secure authentication challenge",
      hello: () => details,
      on: { done: finish, failed: finish },
    });
    // Escape belongs to the challenge: it counts as the customer giving up, which the bank must hear.
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      frame.tell("giveUp");
    });
    const whole = { position: "fixed", inset: "0", width: "100%", height: "100%", maxWidth: "none", maxHeight: "none", border: "0", margin: "0", padding: "0" };
    Object.assign(dialog.style, whole, { background: "transparent", overflow: "hidden" });
    Object.assign(frame.node.style, whole, { colorScheme: "light" });
    dialog.append(frame.node);
    document.body.append(dialog);
    dialog.showModal();
    frame.node.focus();
  });
}
