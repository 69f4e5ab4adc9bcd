import { applyAppearance } from "./appearance.js";
import { checkPostalCode, filled } from "./billing.js";
import { countries, postalCodeOf } from "./countries.js";
import { Field, make } from "./fields.js";
import { firstProblem, standing, StateReport } from "./form_state.js";
import { connectToShop, reportLayout } from "./parent.js";

// What the part of a country is called where an address needs one.
const REGIONS = {
  ...{ AU: "State", BR: "State", IN: "State", MX: "State", US: "State" },
  ...{ CA: "Province", CN: "Province", IT: "Province", JP: "Prefecture" },
};
const NO_POSTAL_CODE = new Set(["AE", "HK", "IE", "QA"]);
const main = document.querySelector("main");
let settings, options, scheme, reportHeight;
let fields = [];

const tell = connectToShop(start, {
  settings: (changed) => {
    settings = changed;
    scheme = applyAppearance(settings.appearance);
    reportHeight();
  },
  options: (changed) => {
    options = changed;
    render();
  },
  focus: () => fields[0].input.focus(),
  blur: () => document.activeElement?.blur(),
  clear: () => {
    for (const field of fields) if (field.input.tagName === "INPUT") field.value = "";
  },
  value: () => ({ complete: standing(shownFields()).complete, isNewAddress: true, value: value() }),
  validate: () => {
    const error = firstProblem(shownFields());
    return error ? { error } : {};
  },
});
const report = new StateReport(tell, () => ({
  fields: shownFields(),
  change: { elementMode: options.mode, isNewAddress: true, value: value() },
}));

function start(hello) {
  ({ options, ...settings } = hello);
  scheme = applyAppearance(settings.appearance);
  render();
  reportHeight = reportLayout(tell, main, () => scheme);
  report.watch(main);
  tell("ready");
}

function render() {
  const typed = Object.fromEntries(fields.map(({ name, value }) => [name, value]));
  fields = [...nameFields(), ...addressFields(), ...phoneField()];
  followCountry();
  const { name, firstName, lastName, phone, address = {} } = options.defaultValues ?? {};
  const defaults = { name, firstName, lastName, phone, ...address, postalCode: address.postal_code };
  for (const field of fields) field.value = typed[field.name] || (defaults[field.name] ?? field.value);
  followCountry();
  main.replaceChildren(make("div", { className: "Fields" }, ...fields.map(({ node }) => node)));
  report.update();
}

function field(name, label, token, more = {}) {
  return new Field({ name, label, autocomplete: `${options.mode} ${token}`, onChange: changed, ...more });
}

function nameFields() {
  const check = filled("name");
  if (options.fields?.name === "never") return [];
  if (options.display?.name === "split") {
    return [
      field("firstName", "First name", "given-name", { width: "half", check }),
      field("lastName", "Last name", "family-name", { width: "half", check }),
    ];
  }
  return [field("name", options.display?.name === "organization" ? "Organization name" : "Full name", "name", { check })];
}

function addressFields() {
  const shown = countries(options.allowedCountries ?? undefined);
  const home = options.defaultValues?.address?.country ?? "US";
  const value = shown.some(([code]) => code === home) ? home : shown[0][0];
  const half = { width: "half" };
  const unit = { placeholder: "Apt., suite, unit number, etc. (optional)", optional: true };
  const checkCode = (text) => checkPostalCode(text, fieldNamed("country").value);
  return [
    field("country", "Country or region", "country", { options: shown, value }),
    field("line1", "Address line 1", "address-line1", { placeholder: "Street address", check: checkLine1 }),
    field("line2", "Address line 2", "address-line2", unit),
    field("city", "City", "address-level2", { ...half, check: filled("city") }),
    field("state", "State", "address-level1", { ...half, check: filled("state") }),
    field("postalCode", "Postal code", "postal-code", { ...half, check: checkCode }),
  ];
}

function phoneField() {
  if (options.fields?.phone !== "always") return [];
  const optional = options.validation?.phone?.required === "never";
  const typed = { type: "tel", inputMode: "tel" };
  return [field("phone", "Phone number", "tel", { ...typed, optional, check: filled("phone_number") })];
}

function changed() {
  followCountry();
  report.update();
}

/** Ask for what the chosen country's addresses have, under the names used there. */
function followCountry() {
  const country = fieldNamed("country")?.value;
  const state = fieldNamed("state");
  const postalCode = fieldNamed("postalCode");
  if (!state || !postalCode) return;
  show(state, country in REGIONS);
  show(postalCode, !NO_POSTAL_CODE.has(country));
  state.label.textContent = REGIONS[country] ?? "";
  postalCode.label.textContent = postalCodeOf(country)?.label ?? "Postal code";
}

function show(field, shown) {
  field.hidden = field.node.hidden = !shown;
}

function checkLine1(text) {
  if (options.blockPoBox && /^\s*p\.?\s*o\.?\s*box\b/i.test(text)) {
    return { type: "validation_error", code: "invalid_address", message: "We can't take a PO box here." };
  }
  return filled("address")(text);
}

function value() {
  const of = (name) => (fieldNamed(name)?.hidden ? "" : (fieldNamed(name)?.value ?? ""));
  const split = { firstName: of("firstName"), lastName: of("lastName") };
  const isSplit = options.display?.name === "split";
  return {
    name: isSplit ? `${split.firstName} ${split.lastName}`.trim() : of("name"),
    ...(isSplit ? split : {}),
    address: {
      line1: of("line1"),
      line2: of("line2") || null,
      city: of("city"),
      state: of("state"),
      postal_code: of("postalCode"),
      country: of("country"),
    },
    ...(fieldNamed("phone") ? { phone: of("phone") } : {}),
  };
}

const fieldNamed = (name) => fields.find((field) => field.name === name);
const shownFields = () => fields.filter(({ hidden }) => !hidden);
