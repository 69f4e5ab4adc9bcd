// @ts-check

/** @typedef {import("@stripe/stripe-js").Appearance} Appearance */
/** @typedef {import("@stripe/stripe-js").StripeElements} StripeElements */

const dark = matchMedia("(prefers-color-scheme: dark)");

/**
 * The site's own look, read from its CSS, for fields that live in a frame of Stripe's.
 * @returns {Appearance}
 */
export function appearance() {
  const style = getComputedStyle(document.documentElement);
  const token = (/** @type {string} */ name) => style.getPropertyValue(`--${name}`).replace(/\s+/g, " ").trim();
  const action = token("color-action");
  return {
    theme: dark.matches ? "night" : "stripe",
    labels: "above",
    variables: {
      colorPrimary: action,
      colorBackground: token("color-surface"),
      colorText: token("color-text"),
      colorTextSecondary: token("color-text-soft"),
      colorTextPlaceholder: token("color-text-soft"),
      colorDanger: token("color-danger"),
      colorWarning: token("color-caution"),
      accessibleColorOnColorPrimary: token("color-on-action"),
      fontFamily: token("font-text"),
      fontSizeBase: "16px",
      spacingUnit: "4px",
      borderRadius: "8px",
    },
    rules: {
      ".Label": { fontWeight: "600", color: token("color-text") },
      ".Input": { borderColor: token("color-control"), boxShadow: "none" },
      ".Input:focus": { borderColor: action, boxShadow: "none", outline: `3px solid ${token("color-spark")}` },
      ".Input--invalid": { borderColor: token("color-danger"), boxShadow: "none" },
      ".Tab": { borderColor: token("color-rule"), boxShadow: "none" },
      ".Tab--selected": { borderColor: action, boxShadow: `0 0 0 1px ${action}` },
    },
  };
}

/**
 * Keeps the fields in the site's colours when the device goes from light to dark or back.
 * @param {StripeElements} elements
 */
export function followColorScheme(elements) {
  dark.addEventListener("change", () => elements.update({ appearance: appearance() }));
}
