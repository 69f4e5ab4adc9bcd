import { make } from "./fields.js";

/** `{type: "tabs"|"accordion", collapsed}` of the shop's layout option; "auto" and none at all mean tabs. */
export function layoutOf(option) {
  const { type, defaultCollapsed = false } = typeof option === "string" ? { type: option } : (option ?? {});
  return { type: type === "accordion" ? "accordion" : "tabs", collapsed: type === "accordion" && defaultCollapsed };
}

/** The nodes that let a customer choose among forms, with the panel of the selected one in its place. */
export function chooser(type, forms, selected, panel, select) {
  if (forms.length === 1 && type === "tabs") return [panel];
  return type === "tabs" ? [tabs(forms, selected, select), panel] : [accordion(forms, selected, panel, select)];
}

function tabs(forms, selected, select) {
  const buttons = forms.map((form) => {
    const chosen = form === selected;
    const tab = make(
      "button",
      {
        type: "button",
        id: `${form.type}-tab`,
        value: form.type,
        className: chosen ? "Tab Tab--selected" : "Tab",
        tabIndex: chosen ? 0 : -1,
        attributes: { role: "tab", "aria-selected": String(chosen), "aria-controls": "method-panel" },
      },
      make("span", { className: chosen ? "TabLabel TabLabel--selected" : "TabLabel", textContent: form.label }),
    );
    tab.addEventListener("click", () => select(form));
    return tab;
  });
  const attributes = { role: "tablist", "aria-label": "Payment method" };
  const list = make("div", { className: "TabList", attributes }, ...buttons);
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    select(forms.at((forms.indexOf(selected) + step) % forms.length));
    document.querySelector('[role="tab"][aria-selected="true"]').focus();
  });
  return list;
}

function accordion(forms, selected, panel, select) {
  const items = forms.map((form) => {
    const open = form === selected;
    const head = make(
      "button",
      { type: "button", value: form.type, className: "AccordionHead", attributes: { "aria-expanded": String(open) } },
      make("span", { className: "AccordionMark", attributes: { "aria-hidden": "true" } }),
      form.label,
    );
    head.addEventListener("click", () => {
      select(form);
      document.querySelector('.AccordionHead[aria-expanded="true"]').focus();
    });
    const className = open ? "AccordionItem AccordionItem--selected" : "AccordionItem";
    return make("div", { className }, head, ...(open ? [panel] : []));
  });
  return make("div", { className: "Accordion" }, ...items);
}
