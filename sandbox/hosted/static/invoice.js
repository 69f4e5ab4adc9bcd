// @ts-check
const form = /** @type {HTMLFormElement} */ (document.querySelector("#payment"));
const button = /** @type {HTMLButtonElement} */ (form.querySelector("button"));
const message = /** @type {HTMLElement} */ (form.querySelector("#message"));
const { key, secret, act, page } = /** @type {Record<string, string>} */ (form.dataset);
const dark = matchMedia("(prefers-color-scheme: dark)").matches;

const stripe = /** @type {any} */ (window).Stripe(key);
const elements = stripe.elements({ clientSecret: secret, appearance: { theme: dark ? "night" : "stripe" } });
const element = elements.create("payment");
element.on("ready", () => (button.disabled = false));
element.mount("#payment-element");

/** Show the invoice anew, or say why it is not paid. @param {{error?: any, paymentIntent?: any}} result */
function settled({ error, paymentIntent }) {
  if (paymentIntent && ["succeeded", "processing"].includes(paymentIntent.status)) return location.assign(page);
  button.disabled = false;
  message.textContent = error?.message ?? "The payment did not go through. Please try another method.";
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  button.disabled = true;
  message.textContent = "";
  const confirmParams = { return_url: new URL(page, location.href).href };
  settled(await stripe.confirmPayment({ elements, confirmParams, redirect: "if_required" }));
});

// A saved card whose bank asks for its holder.
if (act) settled(await stripe.handleNextAction({ clientSecret: secret }));

export {};
