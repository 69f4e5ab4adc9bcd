/** A group of elements for one intent, existing (client secret) or still to be made (deferred mode). */
class StripeElements {
  #elements = [];
  #updated = [];

  /** @param {Record<string, any>} options */
  constructor(origin, key, options = {}, stripesLocale = "auto") {
    this._origin = origin;
    this._key = key;
    this._locale = stripesLocale;
    this._options = options;
    this._submitted = false;
    checkGroup(options, "elements()");
    if (options.clientSecret !== undefined) this._intent = parseSecret(options.clientSecret, "elements()");
  }

  /**
   * @param {string} type
   * @param {Record<string, any>} options
   * @returns {any}
   */
  create(type, options = {}) {
    if (!(type in ELEMENT_FRAMES)) {
      throw new IntegrationError(
        `A valid Element name must be provided. Valid Elements are:\n  ${Object.keys(ELEMENT_FRAMES).join(", ")}; you passed: ${type}.`,
      );
    }
    if (this.getElement(type)) throw new IntegrationError(`Can only create one Element of type ${type}.`);
    if (type === "payment" && !this._intent && !this._options.mode) {
      throw new IntegrationError("In order to create a payment element, you must pass a clientSecret or mode when creating the Elements group.");
    }
    checkElement(type, options, `elements.create('${type}')`);
    const element = new StripeElement(this, type, options);
    this.#elements.push(element);
    return element;
  }

  /** @returns {any} */
  getElement(type) {
    return this.#elements.find((element) => element._type === type) ?? null;
  }

  /** Change appearance, locale, or what a deferred intent will be; never which intent it is. */
  async update(options = {}) {
    if ("clientSecret" in options) throw new IntegrationError("elements.update(): clientSecret cannot be changed. Create a new Elements group instead.");
    const changed = { ...this._options, ...options };
    checkGroup(changed, "elements.update()");
    this._options = changed;
    await Promise.all(this.#elements.map((element) => element._frame?.ask("settings", this._settings())));
    for (const handler of this.#updated) handler();
  }

  /** @param {"update-end"} event */
  on(event, handler) {
    if (event === "update-end") this.#updated.push(handler);
  }

  /** Read the intent again after the server changed it. */
  async fetchUpdates() {
    const frame = this.getElement("payment")?._frame;
    return (await frame?.ask("refresh")) ?? {};
  }

  /** Check every field and show what is wrong: `{error}` or `{selectedPaymentMethod}`. */
  async submit() {
    const payment = mountedPayment(this, "elements.submit()");
    const checked = await payment._frame.ask("validate");
    const address = checked.error ? {} : ((await this.getElement("address")?._frame?.ask("validate")) ?? {});
    this._submitted = !checked.error && !address.error;
    return address.error ? address : checked;
  }

  _settings() {
    const { appearance = {}, locale = this._locale, loader = "auto", ...rest } = this._options;
    // Functions and nodes cannot cross to a frame, and no frame needs them.
    const deferred = rest.mode ? rest : undefined;
    return JSON.parse(JSON.stringify({ key: this._key, appearance, locale, loader, intent: this._intent, deferred }));
  }

  _forget(element) {
    this.#elements = this.#elements.filter((known) => known !== element);
  }
}

function mountedPayment(elements, caller) {
  const payment = elements instanceof StripeElements ? elements.getElement("payment") : null;
  if (payment?._frame) return payment;
  throw new IntegrationError(`Invalid value for ${caller}: elements should have a mounted Payment Element or Express Checkout Element.`);
}
