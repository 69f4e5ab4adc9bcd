// @ts-check
const form = /** @type {HTMLFormElement} */ (document.querySelector("#method"));
const button = /** @type {HTMLButtonElement} */ (form.querySelector("button"));
const message = /** @type {HTMLElement} */ (form.querySelector("#message"));
const { key, secret } = /** @type {Record<string, string>} */ (form.dataset);
const dark = matchMedia("(prefers-color-scheme: dark)").matches;

const stripe = /** @type {any} */ (window).Stripe(key);
const elements = stripe.elements({ clientSecret: secret, appearance: { theme: dark ? "night" : "stripe" } });
const element = elements.create("payment");
element.on("ready", () => (button.disabled = false));
element.mount("#payment-element");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  button.disabled = true;
  message.textContent = "";
  const confirmParams = { return_url: location.href };
  const { error, setupIntent } = await stripe.confirmSetup({ elements, confirmParams, redirect: "if_required" });
  if (setupIntent?.status === "succeeded") {
    /** @type {HTMLInputElement} */ (form.elements.namedItem("setup_intent")).value = setupIntent.id;
    form.submit();
    return;
  }
  button.disabled = false;
  message.textContent = error?.message ?? "The payment method could not be set up. Please try another one.";
});
