import { callApi } from "./api.js";

const OPEN = ["requires_payment_method", "requires_confirmation", "requires_action"];

/**
 * What the API says about the intent this form is for, or `{error}`:
 * methods in order, home (country), business, forLater (will the method be charged again without the customer?).
 */
export async function loadSession(settings) {
  const { intent, deferred, key, locale } = settings;
  const session = await callApi("", "GET", "/v1/elements/sessions", {
    key,
    locale,
    type: intent ? `${intent.kind}_intent` : "deferred_intent",
    client_secret: intent?.clientSecret,
    deferred_intent: deferred && {
      mode: deferred.mode,
      amount: deferred.amount,
      currency: deferred.currency,
      setup_future_usage: usageOf(deferred),
      allowed_payment_method_types: deferred.allowedPaymentMethodTypes,
      excluded_payment_method_types: deferred.excludedPaymentMethodTypes,
    },
  });
  if (session.error) return session;
  const preference = session.payment_method_preference;
  const found = intent && session[`${intent.kind}_intent`];
  if (found && !OPEN.includes(found.status)) return { error: unexpectedState(intent.kind, found) };
  return {
    methods: preference.ordered_payment_method_types,
    home: preference.country_code,
    business: session.business_name || "the shop",
    forLater: isForLater(intent, deferred, found),
  };
}

/** In deferred mode the intent made since must be what the form was opened for: null, or the error Stripe would give. */
export async function deferredMismatch({ deferred, key }, { kind, id, clientSecret }) {
  if (!deferred) return null;
  if (kind === "setup" ? deferred.mode === "payment" : deferred.mode === "setup") {
    const names = { payment: "PaymentIntent", setup: "SetupIntent" };
    return mismatch(`The Elements group was created in ${deferred.mode} mode, for a ${names[deferred.mode]}, not for a ${names[kind]}.`);
  }
  if (kind === "setup") return null;
  const found = await callApi("", "GET", `/v1/payment_intents/${id}`, { key, client_secret: clientSecret });
  if (found.error) return found.error;
  const difference = differenceOf(found, deferred);
  return difference && { ...mismatch(difference), payment_intent: found };
}

const mismatch = (message) => ({ type: "invalid_request_error", message });

function differenceOf(found, { amount, currency, ...deferred }) {
  if (found.amount !== amount || found.currency !== currency) {
    return `The PaymentIntent is for ${found.amount} ${found.currency}, but the Elements group was created for ${amount} ${currency}. Call elements.update() with the same amount and currency before confirming.`;
  }
  // A subscription's intent keeps its method in any case.
  const usage = usageOf(deferred) ?? (deferred.mode === "payment" ? null : found.setup_future_usage);
  if (usage === found.setup_future_usage) return null;
  return `The PaymentIntent has the setup_future_usage ${found.setup_future_usage}, but the Elements group was created with ${usage}. Both must be the same.`;
}

const usageOf = ({ setupFutureUsage, setup_future_usage }) => setupFutureUsage ?? setup_future_usage;

function isForLater(intent, deferred, found) {
  if (intent) return intent.kind === "setup" ? found?.usage !== "on_session" : found?.setup_future_usage === "off_session";
  return deferred.mode !== "payment" || usageOf(deferred) === "off_session";
}

function unexpectedState(kind, found) {
  const name = kind === "payment" ? "PaymentIntent" : "SetupIntent";
  return {
    type: "invalid_request_error",
    code: `${kind}_intent_unexpected_state`,
    message: `This ${name} has a status of ${found.status} and can no longer be used to initialize Elements.`,
    [`${kind}_intent`]: found,
  };
}
