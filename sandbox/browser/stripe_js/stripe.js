const SANDBOX_ORIGIN = new URL(/** @type {HTMLScriptElement} */ (document.currentScript).src).origin;

/** The sandbox's stand-in for Stripe.js: same calls, same results, local API. */
function Stripe(publishableKey, options = {}) {
  checkPage(window.location);
  const key = checkedKey(publishableKey);
  const intents = new Intents(SANDBOX_ORIGIN, key);

  const retrieve = async (kind, clientSecret, caller) => {
    const answer = await intents.retrieve(parseSecretOf(kind, clientSecret, caller));
    return answer.error ? answer : { [RESULT_NAMES[kind]]: answer };
  };

  return {
    elements: (elementsOptions = {}) => new StripeElements(SANDBOX_ORIGIN, key, elementsOptions, options.locale),
    confirmPayment: (call) => intents.confirm("payment", "stripe.confirmPayment()", call),
    confirmSetup: (call) => intents.confirm("setup", "stripe.confirmSetup()", call),
    handleNextAction: async (call) => {
      const intent = parseSecret(call?.clientSecret, "stripe.handleNextAction()");
      return intents.handleNextAction(intent, "stripe.handleNextAction()");
    },
    retrievePaymentIntent: (clientSecret) => retrieve("payment", clientSecret, "stripe.retrievePaymentIntent()"),
    retrieveSetupIntent: (clientSecret) => retrieve("setup", clientSecret, "stripe.retrieveSetupIntent()"),
    /** @param {any} call */
    createPaymentMethod: async ({ elements, params = {} }) => {
      const payment = mountedPayment(elements, "stripe.createPaymentMethod()");
      const answer = await payment._frame.ask("createPaymentMethod", withoutFunctions(params));
      return answer.error ? answer : { paymentMethod: answer };
    },
    registerAppInfo() {},
    _registerWrapper() {},
    _apiVersion: "2026-10-28.endive",
    _apiKey: key,
  };
}

Stripe.version = "endive";
/** @type {any} */ (window).Stripe = Stripe;
