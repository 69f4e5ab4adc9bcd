const INTENT_NAMES = { payment: "payment_intent", setup: "setup_intent" };
const RESULT_NAMES = { payment: "paymentIntent", setup: "setupIntent" };
const AUTHENTICATION_FAILURE = {
  payment: "payment_intent_authentication_failure",
  setup: "setup_intent_authentication_failure",
};

/** What one Stripe(pk) does with intents: confirm, finish the next action, retrieve. */
class Intents {
  #running = new Set();

  constructor(origin, key) {
    this.origin = origin;
    this.key = key;
    // Coming back with the Back button may wake this very page, with what it was doing when it left.
    window.addEventListener("pageshow", ({ persisted }) => persisted && this.#running.clear());
  }

  retrieve({ kind, id, clientSecret }) {
    return callApi(this.origin, "GET", `/v1/${INTENT_NAMES[kind]}s/${id}`, { client_secret: clientSecret, key: this.key });
  }

  /**
   * Confirm, see a 3D Secure challenge through, and go to return_url (or resolve, with redirect "if_required").
   *
   * @param {"payment"|"setup"} kind
   * @param {string} caller
   * @param {{elements?: any, clientSecret?: string, confirmParams?: Record<string, any>, redirect?: string}} [call]
   * @returns {Promise<any>}
   */
  async confirm(kind, caller, { elements, clientSecret, confirmParams = {}, redirect = "always" } = {}) {
    checkOneOf(redirect, REDIRECTS, "redirect", caller);
    const intent = parseSecretOf(kind, clientSecret ?? elements?._intent?.clientSecret, caller);
    checkReturnUrl(confirmParams.return_url, redirect, caller);
    const frame = elements ? mountedPayment(elements, caller)._frame : undefined;
    if (!frame && !confirmParams.payment_method) throw new IntegrationError(`Missing value for ${caller}: elements or confirmParams.payment_method must be given.`);
    if (elements?._options.mode && !elements._submitted) {
      throw new IntegrationError(`elements.submit() must be called before ${caller}.`);
    }
    return this.#alone(intent, caller, async () => {
      const params = withoutFunctions({ ...confirmParams, ...(await addressOf(elements)) });
      const answer = frame ? await frame.ask("confirm", { intent, params }) : await this.#confirmDirectly(intent, params);
      const settled = answer.error ? answer : await this.#settle(intent, answer);
      if (settled.error) return settled;
      if (redirect === "always") return leave(returnUrl(confirmParams.return_url, intent, settled));
      return { [RESULT_NAMES[kind]]: settled };
    });
  }

  /** Finish what an intent in requires_action waits for. */
  handleNextAction(intent, caller) {
    return this.#alone(intent, caller, async () => {
      const found = await this.retrieve(intent);
      if (found.error) return found;
      if (found.status !== "requires_action") return { error: notWaiting(intent, found, caller) };
      const settled = await this.#settle(intent, found);
      return settled.error ? settled : { [RESULT_NAMES[intent.kind]]: settled };
    });
  }

  #confirmDirectly({ kind, id, clientSecret }, params) {
    return callApi(this.origin, "POST", `/v1/${INTENT_NAMES[kind]}s/${id}/confirm`, {
      ...params,
      use_stripe_sdk: true,
      key: this.key,
      client_secret: clientSecret,
    });
  }

  /** The intent once nothing is left for the customer to do, or `{error}`. */
  async #settle(intent, answer) {
    let current = answer;
    if (current.status === "requires_action") {
      const { type, use_stripe_sdk: challenge, redirect_to_url: redirect } = current.next_action ?? {};
      if (type === "redirect_to_url") return leave(redirect.url);
      if (type !== "use_stripe_sdk") return current;
      const { amount, currency } = current;
      const source = challenge.three_d_secure_2_source;
      if (!(await showChallenge(this.origin, { key: this.key, source, amount, currency }))) return { error: NOT_LOADED };
      current = await this.retrieve(intent);
    }
    if (current.error || current.status !== "requires_payment_method") return current;
    return { error: failureOf(intent.kind, current) };
  }

  async #alone({ id }, caller, work) {
    if (this.#running.has(id)) {
      const name = caller.replace("stripe.", "").replace("()", "");
      throw new IntegrationError(`You have an in-flight ${name}! Please be sure to disable your form submit button when ${name} is called.`);
    }
    this.#running.add(id);
    try {
      return await work();
    } finally {
      this.#running.delete(id);
    }
  }
}

function checkReturnUrl(url, redirect, caller) {
  if (url === undefined && redirect === "if_required") return;
  if (url === undefined) {
    throw new IntegrationError(`You must provide confirmParams.return_url when calling ${caller} unless redirect is 'if_required'.`);
  }
  if (typeof url !== "string" || !URL.canParse(url) || !/^https?:/.test(url)) {
    throw new IntegrationError(`Invalid value for ${caller}: confirmParams.return_url should be an absolute URL. You specified: ${url}.`);
  }
}

/** What an Address Element of the same group adds: a billing address for the method, or shipping. */
async function addressOf(elements) {
  const element = elements?.getElement("address");
  if (!element?._frame) return {};
  const { complete, value } = await element.getValue();
  if (!complete) return {};
  const { name, phone, address } = value;
  return { [element._options.mode === "shipping" ? "shipping" : "billingAddress"]: { name, phone, address } };
}

function withoutFunctions(params) {
  return JSON.parse(JSON.stringify(params));
}

function failureOf(kind, intent) {
  const name = INTENT_NAMES[kind];
  const known = intent[kind === "payment" ? "last_payment_error" : "last_setup_error"];
  const error = known ?? {
    type: "invalid_request_error",
    code: AUTHENTICATION_FAILURE[kind],
    message: "We are unable to authenticate your payment method. Please choose a different payment method and try again.",
  };
  return { ...error, [name]: intent };
}

function notWaiting({ kind }, found, caller) {
  const name = kind === "payment" ? "PaymentIntent" : "SetupIntent";
  return {
    type: "invalid_request_error",
    code: `${INTENT_NAMES[kind]}_unexpected_state`,
    message: `${caller.replace("stripe.", "").replace("()", "")}: The ${name} supplied is not in the requires_action state.`,
    [INTENT_NAMES[kind]]: found,
  };
}

/** return_url with its own query kept. What redirect_status says of a payment under way is unconfirmed: "pending" here. */
function returnUrl(url, { kind, clientSecret }, intent) {
  const to = new URL(url);
  to.searchParams.set(INTENT_NAMES[kind], intent.id);
  to.searchParams.set(`${INTENT_NAMES[kind]}_client_secret`, clientSecret);
  const isPaid = ["succeeded", "requires_capture"].includes(intent.status);
  to.searchParams.set("redirect_status", isPaid ? "succeeded" : "pending");
  return to.href;
}

/** Leave the page: the promise stays open, so that the shop does not act on a page that is going away. */
function leave(url) {
  window.location.assign(url);
  return new Promise(() => {});
}
