// @ts-check
import { appearance, followColorScheme } from "./appearance.js";

/** @typedef {import("@stripe/stripe-js").Stripe} Stripe */
/** @typedef {import("@stripe/stripe-js").StripeElements} StripeElements */
/** @typedef {import("@stripe/stripe-js").StripeError} StripeError */

const GENERIC = "Something went wrong. Please try again: you can’t be charged twice.";

/**
 * Shows Stripe's payment form for an intent in `place`.
 * @param {Stripe} stripe
 * @param {string} clientSecret
 * @param {HTMLElement} place
 * @param {{shopName: string, email: string, onReady: () => void, onChange: () => void,
 *          onFailure: (text: string) => void}} options
 * @returns {StripeElements}
 */
export function showPaymentElement(stripe, clientSecret, place, { shopName, email, onReady, onChange, onFailure }) {
  const elements = stripe.elements({ clientSecret, appearance: appearance(), loader: "auto" });
  const element = elements.create("payment", {
    layout: "tabs",
    business: { name: shopName },
    defaultValues: { billingDetails: { email } },
  });
  element.on("ready", () => {
    place.setAttribute("aria-busy", "false");
    onReady();
  });
  element.on("change", ({ empty }) => {
    if (!empty) onChange(); // the first one tells of an untouched form
  });
  element.on("loaderror", ({ error }) => onFailure(error.message ?? "The payment form could not be loaded."));
  element.mount(place);
  followColorScheme(elements);
  return elements;
}

/**
 * What to tell the user of an error of Stripe.js: its own words where they are meant for them.
 * @param {Partial<StripeError>} error
 */
export function wordsFor({ type, code = "", message }) {
  const forUser = type === "card_error" || type === "validation_error" || code.endsWith("_intent_authentication_failure");
  return (forUser && message) || GENERIC;
}

/**
 * The intent that Stripe names in the address when it sends the browser back; its secret is taken out of there.
 * @param {"payment_intent" | "setup_intent"} kind
 */
export function returnedIntent(kind) {
  const id = new URLSearchParams(location.search).get(kind);
  if (location.search) history.replaceState(null, "", location.pathname);
  return id;
}
