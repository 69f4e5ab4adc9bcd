// @ts-check
import { ApiError, post } from "./lib/api.js";
import { returnedIntent, showPaymentElement, wordsFor } from "./lib/payment_element.js";
import { say, setBusy } from "./lib/status.js";

/** @typedef {{status: "saved" | "processing", paymentMethod: string | null, payUrl: string | null}} Outcome */

const page = /** @type {HTMLElement} */ (document.querySelector("#payment-method"));
const form = /** @type {HTMLFormElement} */ (page.querySelector("#payment-form"));
const place = /** @type {HTMLElement} */ (form.querySelector("#payment-element"));
const message = /** @type {HTMLElement} */ (form.querySelector("#payment-message"));
const button = /** @type {HTMLButtonElement} */ (form.querySelector("#submit"));
const facts = /** @type {Record<string, string>} */ (page.dataset);
const again = { text: "Try again", onClick: () => location.reload() };

/** @type {{stripe: import("@stripe/stripe-js").Stripe, elements: import("@stripe/stripe-js").StripeElements} | null} */
let setup = null;

form.addEventListener("submit", save);
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload(); // restored by the back button: what it shows may long be saved
});
start();

async function start() {
  const returned = returnedIntent("setup_intent");
  if (returned) return finish(returned);
  if (!window.Stripe) return giveUp("Stripe’s payment form could not be loaded. A blocker or the connection may be in the way.");
  try {
    const { clientSecret } = await post(facts.createUrl);
    const stripe = window.Stripe(facts.publishableKey);
    const elements = showPaymentElement(stripe, clientSecret, place, {
      shopName: facts.shopName,
      email: facts.email,
      onReady: () => setBusy(button, false),
      onChange: () => say(message, ""),
      onFailure: giveUp,
    });
    setup = { stripe, elements };
  } catch (error) {
    giveUp(error instanceof ApiError ? error.message : "The payment form could not be set up.");
  }
}

/** @param {SubmitEvent} event */
async function save(event) {
  event.preventDefault();
  if (!setup || button.disabled) return;
  setBusy(button, true);
  say(message, "");
  const { setupIntent, error } = await confirm(setup);
  const found = setupIntent ?? error?.setup_intent;
  if (found?.status === "succeeded" || found?.status === "processing") return finish(found.id);
  setBusy(button, false);
  say(message, wordsFor(error ?? {}));
}

/**
 * @param {NonNullable<typeof setup>} setup
 * @returns {Promise<import("@stripe/stripe-js").SetupIntentResult>}
 */
async function confirm({ stripe, elements }) {
  const confirmParams = { return_url: location.origin + location.pathname };
  try {
    return await stripe.confirmSetup({ elements, confirmParams, redirect: "if_required" });
  } catch {
    return { error: /** @type {any} */ ({}) };
  }
}

/**
 * Has the shop take the new method; what it could not do now it does later, and pressing again is safe.
 * @param {string} setupIntentId
 */
async function finish(setupIntentId) {
  hideForm();
  try {
    show(await post(facts.saveUrl, { setupIntentId }));
  } catch (error) {
    const text = error instanceof ApiError ? error.message : "That did not work.";
    const unfinished = error instanceof ApiError && error.code === "setup_unfinished";
    say(message, text, { action: unfinished ? again : { text: "Try again", onClick: () => finish(setupIntentId) } });
  }
}

/** @param {Outcome} outcome */
function show({ status, paymentMethod, payUrl }) {
  const name = status === "processing" ? "processing" : payUrl ? "owing" : "saved";
  for (const part of page.querySelectorAll("[data-outcome]")) {
    part.toggleAttribute("hidden", part.getAttribute("data-outcome") !== name);
  }
  for (const part of page.querySelectorAll("[data-method]")) part.textContent = paymentMethod ?? "Your new payment method";
  page.querySelector("a[data-pay]")?.setAttribute("href", payUrl ?? facts.accountUrl);
  form.hidden = true;
  /** @type {HTMLElement | null} */ (page.querySelector(`[data-outcome="${name}"] h2`))?.focus();
}

function hideForm() {
  say(message, "");
  place.hidden = true;
  button.hidden = true;
}

/** @param {string} text */
function giveUp(text) {
  hideForm();
  say(message, text, { action: again });
}
