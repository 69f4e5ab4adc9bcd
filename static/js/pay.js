// @ts-check
import { ApiError, post } from "./lib/api.js";
import { returnedIntent, showPaymentElement, wordsFor } from "./lib/payment_element.js";
import { say, setBusy } from "./lib/status.js";

/** @typedef {import("@stripe/stripe-js").Stripe} Stripe */
/** @typedef {import("@stripe/stripe-js").StripeElements} StripeElements */
/** @typedef {{status: "paid" | "processing" | "requires_action" | "requires_payment_method",
 *             clientSecret?: string, message?: string}} Payment */

const page = /** @type {HTMLElement} */ (document.querySelector("#pay"));
const saved = /** @type {HTMLElement} */ (page.querySelector("#saved-method"));
const savedButton = /** @type {HTMLButtonElement | null} */ (saved.querySelector("#pay-saved"));
const otherButton = /** @type {HTMLButtonElement | null} */ (saved.querySelector("#pay-other"));
const form = /** @type {HTMLFormElement} */ (page.querySelector("#payment-form"));
const place = /** @type {HTMLElement} */ (form.querySelector("#payment-element"));
const button = /** @type {HTMLButtonElement} */ (form.querySelector("#submit"));
const message = /** @type {HTMLElement} */ (page.querySelector("#payment-message"));
const facts = /** @type {Record<string, string>} */ (page.dataset);
const again = { text: "Try again", onClick: () => location.reload() };

/** @type {StripeElements | null} */
let elements = null;
/** @type {Stripe | null} */
let stripe = null;

savedButton?.addEventListener("click", () => act(savedButton, paySaved));
otherButton?.addEventListener("click", () => act(otherButton, showForm));
form.addEventListener("submit", (event) => {
  event.preventDefault();
  act(button, payOther);
});
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload(); // restored by the back button: what it shows may long be paid
});
start();

async function start() {
  stripe = window.Stripe?.(facts.publishableKey) ?? null;
  if (!stripe) return say(message, "Stripe’s payment form could not be loaded. A blocker or the connection may be in the way.", { action: again });
  if (returnedIntent("payment_intent")) return refresh();
  if (!savedButton || !otherButton) return act(button, showForm);
  setBusy(savedButton, false);
  setBusy(otherButton, false);
}

/**
 * One thing at a time: the button waits, and a failure is told beside it.
 * @param {HTMLButtonElement} pressed
 * @param {() => Promise<void>} work
 */
async function act(pressed, work) {
  if (page.ariaBusy === "true") return;
  page.ariaBusy = "true";
  setBusy(pressed, true);
  say(message, "");
  try {
    await work();
  } catch (error) {
    const known = error instanceof ApiError ? error : null;
    say(message, known?.message ?? "That did not work. Please try again: you can’t be charged twice.", {
      action: known?.url ? { text: "Your account", url: known.url } : null,
    });
  }
  page.ariaBusy = "false";
  if (pressed !== button || elements) setBusy(pressed, false);
}

/**
 * @param {boolean} savedMethod
 * @returns {Promise<Payment>}
 */
function ask(savedMethod) {
  return post(facts.payUrl, { invoiceId: facts.invoiceId, savedMethod });
}

async function paySaved() {
  const payment = await ask(true);
  if (payment.status === "requires_action") return authenticate(payment.clientSecret ?? "");
  if (payment.status === "requires_payment_method") {
    say(message, payment.message ?? "This payment method was not accepted. Please use another one.");
    return mount(payment.clientSecret ?? "");
  }
  reload();
}

/**
 * The bank wants to ask the cardholder.
 * @param {string} clientSecret
 */
async function authenticate(clientSecret) {
  const answer = await stripe?.handleNextAction({ clientSecret });
  if (answer?.error) return say(message, wordsFor(answer.error));
  await refresh();
}

async function showForm() {
  const payment = await ask(false);
  if (payment.status === "paid" || payment.status === "processing") return reload();
  mount(payment.clientSecret ?? "");
}

/** @param {string} clientSecret */
function mount(clientSecret) {
  if (!stripe || elements) return;
  form.hidden = false;
  if (otherButton) otherButton.hidden = true;
  elements = showPaymentElement(stripe, clientSecret, place, {
    shopName: facts.shopName,
    email: facts.email,
    onReady: () => setBusy(button, false),
    onChange: () => say(message, ""),
    onFailure: (text) => say(message, text, { action: again }),
  });
}

async function payOther() {
  if (!stripe || !elements) return;
  const confirmParams = { return_url: location.origin + location.pathname };
  const { paymentIntent, error } = await stripe.confirmPayment({ elements, confirmParams, redirect: "if_required" });
  const status = (paymentIntent ?? error?.payment_intent)?.status;
  if (status === "succeeded" || status === "processing") return refresh();
  say(message, wordsFor(error ?? {}));
}

/** Has the shop ask Stripe how it stands, then shows that. */
async function refresh() {
  await ask(false).catch(() => null); // the webhook tells the shop as well
  reload();
}

function reload() {
  location.reload();
}
