// @ts-check
import { ApiError, post } from "./lib/api.js";
import { showPaymentElement, wordsFor } from "./lib/payment_element.js";
import { say, setBusy } from "./lib/status.js";

/** @typedef {import("@stripe/stripe-js").Stripe} Stripe */
/** @typedef {import("@stripe/stripe-js").StripeElements} StripeElements */
/** @typedef {import("@stripe/stripe-js").StripeError} StripeError */
/** @typedef {{subscriptionId: string, clientSecret: string | null,
 *             intent: "payment" | "setup" | null, notice?: string}} Attempt */

const form = /** @type {HTMLFormElement} */ (document.querySelector("#payment-form"));
const place = /** @type {HTMLElement} */ (form.querySelector("#payment-element"));
const message = /** @type {HTMLElement} */ (form.querySelector("#payment-message"));
const note = /** @type {HTMLElement} */ (form.querySelector("#payment-note"));
const button = /** @type {HTMLButtonElement} */ (form.querySelector("#submit"));
const facts = /** @type {Record<string, string>} */ (form.dataset);
const completeUrl = new URL(facts.returnUrl, location.href).href;

const RETRY_AFTER = [1000, 2000, 4000, 8000, 16000, 30000]; // ms; another attempt settles within a minute
const again = { text: "Try again", onClick: () => location.reload() };

/** @type {{stripe: Stripe, elements: StripeElements, attempt: Attempt} | null} */
let payment = null;

start();
form.addEventListener("submit", pay);
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload(); // restored by the back button: what it shows may long be paid
});

async function start() {
  if (!window.Stripe) return giveUp("Stripe’s payment form could not be loaded. A blocker or the connection may be in the way.", again);
  try {
    const attempt = await createSubscription();
    if (!attempt.intent || !attempt.clientSecret) return location.assign(completeUrl);
    say(note, attempt.notice ?? "", { level: "info" });
    mount(window.Stripe(facts.publishableKey), attempt);
  } catch (error) {
    refuse(error);
  }
}

/** Asks for the subscription; while another tab or click is at it, waits and asks again. */
async function createSubscription() {
  for (const delay of [...RETRY_AFTER, 0]) {
    try {
      /** @type {Attempt} */
      const attempt = await post(facts.createUrl, { priceId: facts.priceId, currency: facts.currency });
      say(message, "");
      return attempt;
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== "attempt_in_progress" || !delay) throw error;
      say(message, "Another window is preparing the same order. One moment, we’ll try again.", { level: "warning" });
      await new Promise((resolve) => setTimeout(resolve, delay));
    }
  }
  throw new Error("unreachable");
}

/**
 * @param {Stripe} stripe
 * @param {Attempt} attempt
 */
function mount(stripe, attempt) {
  const elements = showPaymentElement(stripe, attempt.clientSecret ?? "", place, {
    shopName: facts.shopName,
    email: facts.email,
    onReady: () => setBusy(button, false),
    onChange: () => say(message, ""),
    onFailure: (text) => giveUp(text, again),
  });
  payment = { stripe, elements, attempt };
}

/** @param {SubmitEvent} event */
async function pay(event) {
  event.preventDefault();
  if (!payment || button.disabled) return;
  setBusy(button, true);
  say(message, "");
  const error = await confirm(payment);
  const status = error.payment_intent?.status ?? error.setup_intent?.status;
  if (status === "succeeded" || status === "processing") return location.assign(completeUrl);
  setBusy(button, false);
  if (status === "canceled") return giveUp("This order is no longer open: another window may have begun a new one.", again);
  say(message, wordsFor(error));
}

/**
 * On success the page is left for `return_url`; only a failure comes back.
 * @param {{stripe: Stripe, elements: StripeElements, attempt: Attempt}} payment
 * @returns {Promise<Partial<StripeError>>}
 */
async function confirm({ stripe, elements, attempt }) {
  const options = { elements, confirmParams: { return_url: completeUrl } };
  try {
    const { error } = await (attempt.intent === "setup" ? stripe.confirmSetup(options) : stripe.confirmPayment(options));
    return error;
  } catch {
    return {};
  }
}

/** @param {unknown} error */
function refuse(error) {
  if (!(error instanceof ApiError)) return giveUp("The payment form could not be set up.", again);
  giveUp(error.message, error.url ? { text: "Go there", url: error.url } : again);
}

/**
 * @param {string} text
 * @param {import("./lib/status.js").Action} action
 */
function giveUp(text, action) {
  place.hidden = true;
  button.hidden = true;
  say(message, text, { action });
}
