// A frame that says nothing for this long did not load.
const FRAME_TIMEOUT = 5_000; // milliseconds after its load event
const NOT_LOADED = {
  type: "api_connection_error",
  message: "The payment form could not be loaded. Please check your internet connection and try again.",
};
let framesMade = 0;

/**
 * One iframe of the sandbox's origin with its private line to it. The line is a MessageChannel whose far end is handed to
 * the frame's document alone, addressed by origin: nobody else on the page can speak or listen on it.
 */
class Frame {
  #answers = new Map();
  #asked = 0;
  #port;
  #opened;

  /** on: functions by message type, for what the frame says unasked. `failed` is called if the frame does not load. */
  constructor({ origin, path, title, hello, on }) {
    this.on = on;
    this.hello = hello;
    this.origin = origin;
    this.node = document.createElement("iframe");
    this.node.name = `__privateStripeFrame${Math.floor(Math.random() * 9000) + 1000}${++framesMade}`;
    this.node.title = title;
    this.node.src = origin + path;
    this.node.setAttribute("allow", "payment *");
    this.node.setAttribute("role", "presentation");
    this.node.setAttribute("scrolling", "no");
    this.node.addEventListener("load", () => this.#connect());
    this.#opened = new Promise((resolve) => (this.open = resolve));
  }

  // Also after a move in the page, which makes a browser load the frame anew.
  #connect() {
    const { port1, port2 } = new MessageChannel();
    this.#port?.close();
    this.#port = port1;
    port1.onmessage = ({ data }) => this.#receive(data);
    this.node.contentWindow.postMessage({ connect: this.node.name, hello: this.hello() }, this.origin, [port2]);
    const silence = setTimeout(() => this.on.failed?.(), FRAME_TIMEOUT);
    this.heard = () => clearTimeout(silence);
    this.open(port1);
  }

  #receive({ type, answers, detail }) {
    this.heard();
    if (answers === undefined) return this.on[type]?.(detail);
    this.#answers.get(answers)?.(detail);
    this.#answers.delete(answers);
  }

  /** Tell the frame something; nothing comes back. */
  async tell(type, detail) {
    await this.#opened;
    this.#port.postMessage({ type, detail });
  }

  /** Ask the frame and wait for what its handler of that type returns. */
  async ask(type, detail) {
    await this.#opened;
    const number = ++this.#asked;
    return new Promise((resolve) => {
      this.#answers.set(number, resolve);
      this.#port.postMessage({ type, detail, number });
    });
  }

  remove() {
    this.heard?.();
    this.#port?.close();
    this.node.remove();
  }
}
