/** A node with properties and children: make("p", {className: "Error"}, "text"). Texts become text nodes, never markup. */
export function make(tag, properties = {}, ...children) {
  const { attributes = {}, ...rest } = properties;
  const node = Object.assign(document.createElement(tag), rest);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/**
 * One labelled input with its error text below.
 *
 * format(text): the text as it should read while typing. check(text): null, or {code, message} of what is wrong.
 * optional: an empty value is no problem. width: "half" or "full". onChange: after every change of value or error.
 */
export class Field {
  shown = null;

  constructor({ name, label, check = () => null, format, optional = false, onChange, ...look }) {
    const { width = "full", options, adornment, ...input } = look;
    Object.assign(this, { name, check, format, optional, onChange });
    const id = `Field-${name}Input`;
    this.error = make("p", { className: "Error", id: `Field-${name}Error`, hidden: true, attributes: { role: "alert" } });
    this.input = options ? this.#select(id, options, input) : this.#text(id, input);
    this.label = make("label", { className: "Label", htmlFor: id, textContent: label });
    const box = make("div", { className: "InputBox" }, this.input, ...(adornment ? [adornment] : []));
    this.node = make("div", { className: `Field Field--${width}` }, this.label, box, this.error);
    this.node.dataset.field = name;
    this.#mark();
  }

  get value() {
    return this.input.value.trim();
  }

  set value(text) {
    this.input.value = this.format ? this.format(text) : text;
    this.show(null);
  }

  get empty() {
    return this.value === "";
  }

  /** What is wrong with the present value, shown or not. */
  problem() {
    return this.optional && this.empty ? null : this.check(this.value);
  }

  /** Show a problem under the field, or take it away with null. */
  show(problem) {
    this.shown = problem;
    this.error.textContent = problem?.message ?? "";
    this.error.hidden = !problem;
    this.#mark();
    this.onChange?.();
  }

  #text(id, { type = "text", inputMode = "text", autocomplete = "off", placeholder = "", ...rest }) {
    const input = make("input", { id, name: this.name, className: "Input", type, inputMode, placeholder, ...rest });
    input.setAttribute("autocomplete", autocomplete);
    const plain = { autocorrect: "off", autocapitalize: "off", spellcheck: "false" };
    for (const [name, value] of Object.entries(plain)) input.setAttribute(name, value);
    input.addEventListener("input", (event) => this.#typed(event));
    input.addEventListener("blur", () => !this.shown && !this.empty && this.show(this.problem()));
    return input;
  }

  #select(id, options, { autocomplete = "off", value }) {
    const select = make("select", { id, name: this.name, className: "Input Select" });
    select.setAttribute("autocomplete", autocomplete);
    select.append(...options.map(([code, text]) => make("option", { value: code, textContent: text })));
    select.value = value;
    select.addEventListener("change", () => this.show(null));
    return select;
  }

  #typed({ inputType }) {
    if (this.format) this.#reformat(inputType);
    const problem = this.problem();
    // While typing only what no further digit can mend is an error.
    this.show(problem && !problem.code.startsWith("incomplete") && !this.empty ? problem : null);
  }

  /** Put the separators back and keep the caret after the same digit. Deleting a separator deletes the digit before it. */
  #reformat(inputType) {
    const { input } = this;
    const before = input.value.slice(0, input.selectionStart).replace(/[^0-9A-Za-z]/g, "");
    const deletedSeparator = inputType === "deleteContentBackward" && this.format(input.value) === this.previous;
    const kept = deletedSeparator ? before.slice(0, -1) : before;
    const after = input.value.slice(input.selectionStart).replace(/[^0-9A-Za-z]/g, "");
    const atEnd = after === "";
    const text = this.format(atEnd && !deletedSeparator ? input.value : kept + after);
    const caret = atEnd ? text.length : positionAfter(text, kept.length);
    input.value = this.previous = text;
    input.setSelectionRange(caret, caret);
  }

  #mark() {
    const { input, shown } = this;
    input.setAttribute("aria-invalid", String(Boolean(shown)));
    input.setAttribute("aria-required", String(!this.optional));
    if (shown) input.setAttribute("aria-describedby", this.error.id);
    else input.removeAttribute("aria-describedby");
    input.classList.toggle("Input--invalid", Boolean(shown));
    input.classList.toggle("Input--empty", this.empty);
    this.label?.classList.toggle("Label--invalid", Boolean(shown));
  }
}

function positionAfter(text, count) {
  let seen = 0;
  for (let index = 0; index < text.length; index++) {
    if (seen === count) return index;
    if (/[0-9A-Za-z]/.test(text[index])) seen++;
  }
  return text.length;
}
