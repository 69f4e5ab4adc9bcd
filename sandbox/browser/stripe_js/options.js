// What Stripe.js knows by name. What the sandbox has no use for is passed over; what nobody knows is told to the console.
const BILLING_MODES = ["shipping", "billing"];
const DEFERRED_MODES = ["payment", "subscription", "setup"];
const LAYOUTS = ["tabs", "accordion", "auto"];
const LOADERS = ["auto", "always", "never"];
const THEMES = ["stripe", "night", "flat"];
const REDIRECTS = ["always", "if_required"];
const GROUP_OPTIONS = [
  ...["appearance", "clientSecret", "currency", "customPaymentMethods", "customerOptions", "customerSessionClientSecret"],
  ...["fonts", "loader", "locale", "paymentMethodCreation", "syncAddressCheckbox"],
];
const DEFERRED_OPTIONS = [
  ...["adaptivePricing", "allowedPaymentMethodTypes", "amount", "captureMethod", "capture_method", "excludedPaymentMethodTypes"],
  ...["externalPaymentMethodTypes", "mode", "onBehalfOf", "on_behalf_of", "paymentMethodConfiguration", "paymentMethodOptions"],
  ...["payment_method_configuration", "payment_method_options", "setupFutureUsage", "setup_future_usage"],
];
const ELEMENT_OPTIONS = {
  payment: [
    ...["applePay", "business", "defaultValues", "fields", "layout", "paymentMethodOrder", "readOnly", "terms", "walletOptions"],
    "wallets",
  ],
  address: [
    ...["allowedCountries", "autocomplete", "blockPoBox", "contacts", "defaultValues", "display", "fields", "mode"],
    "validation",
  ],
};

/** Options are an object, each with a name that is known: else what does not fit is told, as Stripe.js tells it. */
function checkNames(options, known, caller) {
  if (typeof options !== "object" || options === null) {
    throw new IntegrationError(`Invalid value for ${caller}: options should be an object. You specified: ${options}.`);
  }
  for (const name of Object.keys(options).filter((name) => !known.includes(name))) {
    console.warn(
      `Unrecognized ${caller} parameter: ${name} is not a recognized parameter. This may cause issues with your integration in the future.`,
    );
  }
}

/** Nothing, or one of the values that there are. */
function checkOneOf(value, allowed, name, caller) {
  if (value === undefined || allowed.includes(value)) return;
  throw new IntegrationError(
    `Invalid value for ${caller}: ${name} should be one of the following strings: ${allowed.join(", ")}. You specified: ${value}.`,
  );
}

/** @param {Record<string, any>} options */
function checkGroup(options, caller) {
  checkNames(options, [...GROUP_OPTIONS, ...DEFERRED_OPTIONS], caller);
  checkOneOf(options.appearance?.theme, THEMES, "appearance.theme", caller);
  checkOneOf(options.loader, LOADERS, "loader", caller);
  if (options.clientSecret !== undefined && options.mode !== undefined) {
    throw new IntegrationError(
      `Invalid value for ${caller}: clientSecret and mode can't be given both. A group is for an intent that exists, or (with mode) for one that is made later.`,
    );
  }
  if (options.mode !== undefined) checkDeferred(options, caller);
}

/** @param {Record<string, any>} options */
function checkDeferred({ mode, amount, currency }, caller) {
  checkOneOf(mode, DEFERRED_MODES, "mode", caller);
  if (mode !== "setup" && !(Number.isInteger(amount) && amount >= 0)) {
    throw new IntegrationError(
      `Invalid value for ${caller}: amount should be a non-negative integer in the currency's smallest unit. You specified: ${amount}.`,
    );
  }
  if (mode !== "setup" && !/^[a-z]{3}$/.test(currency)) {
    throw new IntegrationError(
      `Invalid value for ${caller}: currency should be a three-letter ISO code in lower case. You specified: ${currency}.`,
    );
  }
}

/** @param {Record<string, any>} options */
function checkElement(type, options, caller) {
  checkNames(options, ELEMENT_OPTIONS[type], caller);
  if (type === "address") {
    if (options.mode === undefined) throw new IntegrationError(`Missing value for ${caller}: options.mode should be 'shipping' or 'billing'.`);
    checkOneOf(options.mode, BILLING_MODES, "mode", caller);
    return;
  }
  const { layout } = options;
  checkOneOf(typeof layout === "object" && layout !== null ? layout.type : layout, LAYOUTS, "layout", caller);
}
