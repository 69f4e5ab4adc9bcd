/** Thrown, as Stripe.js does, for a mistake in the shop's own code; never for what a customer does. */
class IntegrationError extends Error {
  constructor(message) {
    super(message);
    this.name = "IntegrationError";
  }
}

/** Fault lies with the page when the sandbox will not answer it: better said at once than by a form that stays empty. */
function checkPage({ protocol, hostname, origin }) {
  if (/^https?:$/.test(protocol) && ["localhost", "127.0.0.1"].includes(hostname)) return;
  throw new IntegrationError(
    `The sandbox answers pages of http://localhost and http://127.0.0.1 only, not of ${origin}. Serve this page there, for example with python -m http.server.`,
  );
}

/** The publishable key, or an IntegrationError that says what is wrong with it. */
function checkedKey(key) {
  if (key === "") throw new IntegrationError("Please call Stripe() with your publishable key. You used an empty string.");
  if (typeof key !== "string") throw new IntegrationError("Missing value for Stripe(): apiKey should be a string.");
  if (/^(sk|rk)_/.test(key)) {
    throw new IntegrationError(
      "You should not use your secret key with Stripe.js.\n        Please pass a publishable key instead.",
    );
  }
  if (key.startsWith("pk_live_")) {
    throw new IntegrationError(
      "This stripe.js belongs to the sandbox, which never takes a live key. Use the sandbox's own publishable key, or load Stripe.js from js.stripe.com.",
    );
  }
  if (!key.startsWith("pk_")) throw new IntegrationError(`Invalid value for Stripe(): apiKey should be a publishable key. You specified: ${key}.`);
  return key;
}

/** `{kind: "payment"|"setup", id, clientSecret}` of a client secret, or an IntegrationError. */
function parseSecret(clientSecret, caller) {
  if (clientSecret === undefined) {
    throw new IntegrationError(
      `Missing value for ${caller}: clientSecret should be a client secret of the form \${id}_secret_\${secret}.`,
    );
  }
  const match = typeof clientSecret === "string" && /^((pi|seti)_[A-Za-z0-9]+)_secret_[A-Za-z0-9]+$/.exec(clientSecret);
  if (!match) {
    throw new IntegrationError(
      `Invalid value for ${caller}: clientSecret should be a client secret of the form \${id}_secret_\${secret}. You specified: ${clientSecret}.`,
    );
  }
  return { kind: match[2] === "pi" ? "payment" : "setup", id: match[1], clientSecret };
}

/** A secret of that kind: confirmPayment takes no SetupIntent's, and the other way round. */
function parseSecretOf(kind, clientSecret, caller) {
  const intent = parseSecret(clientSecret, caller);
  if (intent.kind !== kind) {
    const wanted = kind === "payment" ? "PaymentIntent" : "SetupIntent";
    throw new IntegrationError(`Invalid value for ${caller}: clientSecret should belong to a ${wanted}. You specified: ${clientSecret}.`);
  }
  return intent;
}
