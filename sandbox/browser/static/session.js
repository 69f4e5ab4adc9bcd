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
      setup_future_usage: deferred.setupFutureUsage,
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
  if (!deferred || kind === "setup") return null;
  const found = await callApi("", "GET", `/v1/payment_intents/${id}`, { key, client_secret: clientSecret });
  if (found.error) return found.error;
  const { amount, currency } = deferred;
  if (found.amount === amount && found.currency === currency) return null;
  return {
    type: "invalid_request_error",
    message: `The PaymentIntent is for ${found.amount} ${found.currency}, but the Elements group was created for ${amount} ${currency}. Call elements.update() with the same amount and currency before confirming.`,
    payment_intent: found,
  };
}

function isForLater(intent, deferred, found) {
  if (intent) return intent.kind === "setup" ? found?.usage !== "on_session" : found?.setup_future_usage === "off_session";
  return deferred.mode !== "payment" || deferred.setupFutureUsage === "off_session";
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
