// The sandbox's stripe.js, held against the interfaces of Stripe's own package: compiled, never run.
// Its files are one script, so their names are global here.
type Real = import("@stripe/stripe-js").Stripe;

type Built = Pick<
  Real,
  | "confirmPayment"
  | "confirmSetup"
  | "createPaymentMethod"
  | "elements"
  | "handleNextAction"
  | "registerAppInfo"
  | "retrievePaymentIntent"
  | "retrieveSetupIntent"
>;

const constructed: Built = Stripe("pk_test_sandbox", { locale: "en" });

const group: Pick<import("@stripe/stripe-js").StripeElements, "create" | "fetchUpdates" | "getElement" | "submit" | "update"> =
  new StripeElements("http://127.0.0.1", "pk_test_sandbox", {});

const payment: import("@stripe/stripe-js").StripePaymentElement = new StripeElement(group, "payment", {});
const address: import("@stripe/stripe-js").StripeAddressElement = new StripeElement(group, "address", { mode: "billing" });
