import { HONOURED, WITHOUT_USE } from "./variables.js";

const KNOWN = new Set([...HONOURED, ...WITHOUT_USE]);
const THEMES = {
  stripe: {},
  night: {
    colorPrimary: "#85d996",
    colorBackground: "#30313d",
    colorText: "#ffffff",
    colorDanger: "#fe87a1",
    colorTextSecondary: "#c9cbd6",
    colorTextPlaceholder: "#a8abb8",
    inputColorBorder: "#424353",
  },
  flat: {
    colorPrimary: "#0570de",
    colorBackground: "#f1f1f1",
    inputColorBorder: "transparent",
    inputBoxShadow: "none",
    borderRadius: "4px",
  },
};
// Only Stripe's public classes, with states and pseudo-elements: no rule can reach beyond what Stripe lets it.
const SELECTOR = /^\.[A-Z][A-Za-z]*(--[a-z]+)*(::?[a-z-]+(\([^)]*\))?)*$/;
const sheet = new CSSStyleSheet();
let variablesSet = [];
document.adoptedStyleSheets = [sheet];

/** Apply an Appearance: theme, variables (as custom properties of their names) and rules. Returns "light" or "dark". */
export function applyAppearance({ theme = "stripe", variables = {}, rules = {}, labels, disableAnimations } = {}) {
  const root = document.documentElement;
  const values = { ...(THEMES[theme] ?? {}), ...variables };
  for (const name of Object.keys(variables).filter((name) => !KNOWN.has(name))) {
    console.warn(`elements: the appearance variable "${name}" is not one that there is.`);
  }
  for (const name of variablesSet) root.style.removeProperty(name);
  variablesSet = Object.keys(values).map((name) => `--${name}`);
  for (const [name, value] of Object.entries(values)) root.style.setProperty(`--${name}`, value);
  root.dataset.labels = labels === "floating" ? "floating" : "above";
  root.toggleAttribute("data-still", Boolean(disableAnimations));
  applyRules(rules);
  const scheme = isDark(getComputedStyle(root).getPropertyValue("--colorBackground")) ? "dark" : "light";
  root.style.colorScheme = scheme;
  return scheme;
}

function applyRules(rules) {
  sheet.replaceSync("");
  for (const [selector, declarations] of Object.entries(rules)) {
    // A shop may write ".Input:focus, .Tab:focus" as well as one selector.
    const selectors = selector.split(",").map((part) => part.trim());
    if (!selectors.every((part) => SELECTOR.test(part))) {
      console.warn(`elements: the appearance rule for "${selector}" is not a selector that can be styled.`);
      continue;
    }
    const { style } = sheet.cssRules[sheet.insertRule(`${selectors.join(",")}{}`, sheet.cssRules.length)];
    for (const [property, value] of Object.entries(declarations)) style.setProperty(hyphenated(property), value);
  }
}

function hyphenated(property) {
  return property.startsWith("--") ? property : property.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function isDark(color) {
  const context = document.createElement("canvas").getContext("2d");
  context.fillStyle = color.trim();
  context.fillRect(0, 0, 1, 1);
  const [red, green, blue] = context.getImageData(0, 0, 1, 1).data;
  return 0.299 * red + 0.587 * green + 0.114 * blue < 128;
}
