const ELEMENT_FRAMES = {
  payment: { path: "/elements/payment", title: "Secure payment input frame" },
  address: { path: "/elements/address", title: "Secure address input frame" },
};
const STATE_CLASSES = ["focus", "empty", "complete", "invalid"];

/** One element on the shop's page: a container's classes, an iframe and its events. The form itself is in the iframe. */
class StripeElement {
  #listeners = new Map();
  #container;
  #wrapper;
  #destroyed = false;

  constructor(group, type, options) {
    this._group = group;
    this._type = type;
    this._options = options;
  }

  /** Show the element inside that node, given as itself or by selector. What the node held is removed. */
  mount(target) {
    if (this.#destroyed) throw new IntegrationError("This Element has already been destroyed. Please create a new one.");
    const container = nodeToMount(target);
    if (container === this.#container) return;
    this.unmount();
    this.#container = container;
    container.replaceChildren(this.#wrap());
    container.classList.add("StripeElement", "StripeElement--empty");
    this.#emit("loaderstart");
  }

  unmount() {
    this._frame?.remove();
    this.#wrapper?.remove();
    this.#container?.classList.remove("StripeElement", ...STATE_CLASSES.map((state) => `StripeElement--${state}`));
    this._frame = this.#wrapper = this.#container = undefined;
  }

  destroy() {
    this.unmount();
    this.#destroyed = true;
    this.#listeners.clear();
    this._group._forget(this);
  }

  /** Change some of the options the element was created with; others stay. */
  update(options) {
    const changed = { ...this._options, ...options };
    checkElement(this._type, changed, "element.update()");
    this._options = changed;
    this._frame?.tell("options", this._options);
    return this;
  }

  focus() {
    this._frame?.node.focus();
    this._frame?.tell("focus");
  }

  blur() {
    this._frame?.tell("blur");
  }

  clear() {
    this._frame?.tell("clear");
  }

  collapse() {
    this._frame?.tell("collapse");
    return this;
  }

  on(event, handler) {
    if (typeof handler !== "function") throw new IntegrationError("Event handlers must be functions.");
    this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), handler]);
    return this;
  }

  once(event, handler) {
    const wrapped = (detail) => {
      this.off(event, wrapped);
      handler(detail);
    };
    wrapped.handler = handler;
    return this.on(event, wrapped);
  }

  off(event, handler) {
    const isAnother = (known) => known !== handler && known.handler !== handler;
    this.#listeners.set(event, handler ? (this.#listeners.get(event) ?? []).filter(isAnother) : []);
    return this;
  }

  /** The Address Element's present value, complete or not. */
  async getValue() {
    if (!this._frame) {
      throw new IntegrationError(
        "Could not retrieve data from the specified Element. Please make sure the Element you are attempting to use is still mounted.",
      );
    }
    return this._frame.ask("value");
  }

  #wrap() {
    this.#wrapper = document.createElement("div");
    this.#wrapper.className = "__PrivateStripeElement";
    this._frame = new Frame({
      origin: this._group._origin,
      ...ELEMENT_FRAMES[this._type],
      hello: () => ({ ...this._group._settings(), options: this._options }),
      on: {
        ready: () => this.#emit("ready"),
        loaderror: (error) => this.#emit("loaderror", { error }),
        failed: () => this.#emit("loaderror", { error: NOT_LOADED }),
        change: (detail) => this.#emit("change", detail),
        focus: () => this.#emit("focus"),
        blur: () => this.#emit("blur"),
        escape: () => this.#emit("escape"),
        state: (states) => this.#showState(states),
        layout: (layout) => this.#fit(layout),
      },
    });
    // The fields' focus rings are painted inside the frame: let it reach a little over its place, as Stripe's does.
    this.#wrapper.style.margin = "-4px";
    const { style } = this._frame.node;
    Object.assign(style, { display: "block", border: "0", width: "100%", height: "8px", colorScheme: "light" });
    this.#wrapper.append(this._frame.node);
    return this.#wrapper;
  }

  #fit({ height, scheme }) {
    this._frame.node.style.height = `${height}px`;
    // A frame stays transparent only while both sides name the same scheme.
    this._frame.node.style.colorScheme = scheme;
  }

  #showState(states) {
    for (const state of STATE_CLASSES) this.#container.classList.toggle(`StripeElement--${state}`, states[state]);
  }

  #emit(event, detail) {
    if (event === "loaderror" && !this.#listeners.get(event)?.length) console.error(`Unhandled ${this._type} Element loaderror`, detail);
    for (const handler of this.#listeners.get(event) ?? []) handler({ elementType: this._type, ...detail });
  }
}

function nodeToMount(target) {
  if (typeof target === "string") {
    const found = document.querySelector(target);
    if (found) return found;
    throw new IntegrationError(
      `The selector you specified (${target}) applies to no DOM elements that are currently on the page.\nMake sure the element exists on the page before calling mount().`,
    );
  }
  if (target instanceof HTMLElement) return target;
  throw new IntegrationError("Invalid DOM element. Call mount() with either a valid DOM element or selector.");
}
