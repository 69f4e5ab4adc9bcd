/** How a form stands: is everything empty, everything right, something shown as wrong? */
export function standing(fields) {
  return {
    empty: fields.every((field) => field.empty || field.input.tagName === "SELECT"),
    complete: fields.length > 0 && fields.every((field) => !field.problem()),
    invalid: fields.some(({ shown }) => shown),
  };
}

/** The first problem, with all of them shown and the first wrong field focused; null when everything is right. */
export function firstProblem(fields) {
  const wrong = fields.filter((field) => field.problem());
  for (const field of wrong) field.show(field.problem());
  wrong[0]?.input.focus();
  return wrong[0]?.problem() ?? null;
}

/** Tells the shop's page what its element is like: the container's classes, `change`, `focus`, `blur` and `escape`. */
export class StateReport {
  #focused = false;
  #watching = false;
  #reported = "";

  /** describe(): `{fields, change}`, the fields shown and what a change event says besides `empty` and `complete`. */
  constructor(tell, describe) {
    this.tell = tell;
    this.describe = describe;
  }

  /** From here on; a form that is still being built has nothing to tell. */
  watch(main) {
    this.#watching = true;
    main.addEventListener("focusin", () => this.#setFocus(true));
    main.addEventListener("focusout", ({ relatedTarget }) => relatedTarget || this.#setFocus(false));
    main.addEventListener("keydown", ({ key }) => key === "Escape" && this.tell("escape"));
    this.update();
  }

  update() {
    if (!this.#watching) return;
    const { fields, change } = this.describe();
    const { empty, complete, invalid } = standing(fields);
    this.tell("state", { focus: this.#focused, empty, complete, invalid });
    const text = JSON.stringify({ empty, complete, ...change });
    if (this.#reported && text !== this.#reported) this.tell("change", { empty, complete, ...change });
    this.#reported = text;
  }

  #setFocus(focused) {
    if (focused === this.#focused) return;
    this.#focused = focused;
    this.tell(focused ? "focus" : "blur");
    this.update();
  }
}
