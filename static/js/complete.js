// @ts-check
import { post } from "./lib/api.js";

/** @typedef {{state: string, access: boolean, open: boolean, plan: {name: string, key: string} | null,
 *             memberUrl: string | null, accountUrl: string | null, subscribeUrl: string | null}} State */

const page = /** @type {HTMLElement} */ (document.querySelector("#complete"));
const ASK_AT = [0, 2000, 5000, 10000, 20000]; // ms after the page opened

/** What Stripe says of the intent that brought the user here; null without one. @type {string | null} */
let intent = null;
/** @type {State | null} */
let state = null;

run();

async function run() {
  const opened = Date.now();
  const told = tellIntent();
  for (const moment of ASK_AT) {
    await new Promise((resolve) => setTimeout(resolve, opened + moment - Date.now()));
    state = await post(page.dataset.syncUrl ?? "").catch(() => state);
    await told;
    show(outcome());
    if (state && !state.open) return;
  }
  if (outcome() === "confirming") show("slow");
}

/** Asks Stripe about the intent named in the address, and takes its secret out of there. */
async function tellIntent() {
  const query = new URLSearchParams(location.search);
  const paymentSecret = query.get("payment_intent_client_secret");
  const setupSecret = query.get("setup_intent_client_secret");
  history.replaceState(null, "", location.pathname);
  if (!window.Stripe || !(paymentSecret || setupSecret)) return;
  const stripe = window.Stripe(page.dataset.publishableKey ?? "");
  try {
    if (paymentSecret) {
      const { paymentIntent } = await stripe.retrievePaymentIntent(paymentSecret);
      intent = paymentIntent?.status ?? null;
      giveReason(paymentIntent?.last_payment_error?.message);
    } else if (setupSecret) {
      const { setupIntent } = await stripe.retrieveSetupIntent(setupSecret);
      intent = setupIntent?.status ?? null;
      giveReason(setupIntent?.last_setup_error?.message);
    }
  } catch {
    intent = null; // our own state tells
  }
  show(outcome());
}

/** Which part of the page fits what Stripe and the shop's own tables say; the tables win. */
function outcome() {
  const own = state?.state ?? page.dataset.state ?? "none";
  const access = state ? state.access : page.dataset.access === "true";
  if (own === "active" || own === "trialing") return access ? "welcome" : "attention";
  if (own === "processing" && intent === "succeeded") return access ? "welcome" : "confirming";
  if (own === "processing" || own === "expired") return own;
  if (intent === "succeeded") return "confirming";
  if (intent === "processing") return "processing";
  if (intent === "requires_payment_method" || intent === "canceled") return "declined";
  if (intent) return "unfinished";
  return own === "incomplete" ? "incomplete" : "none";
}

/** @param {string} name */
function show(name) {
  if (state) fillIn(state);
  for (const part of page.querySelectorAll("[data-outcome]")) {
    part.toggleAttribute("hidden", part.getAttribute("data-outcome") !== name);
  }
}

/** @param {State} state */
function fillIn(state) {
  for (const element of page.querySelectorAll("[data-plan-name]")) {
    if (state.plan) element.textContent = state.plan.name;
  }
  for (const element of page.querySelectorAll("[data-if-access]")) element.toggleAttribute("hidden", !state.access);
  const urls = { memberUrl: state.memberUrl, accountUrl: state.accountUrl, subscribeUrl: state.subscribeUrl };
  for (const [name, url] of Object.entries(urls)) {
    for (const link of page.querySelectorAll(`a[data-link="${name}"]`)) {
      if (url) link.setAttribute("href", url);
    }
  }
}

/** @param {string | null | undefined} reason */
function giveReason(reason) {
  const place = page.querySelector("[data-reason]");
  if (place && reason) place.textContent = reason;
}
