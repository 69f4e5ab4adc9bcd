import { countries, isCountry, postalCodeOf } from "./countries.js";
import { Field } from "./fields.js";

const problem = (code, message) => ({ type: "validation_error", code, message });

/** The choice for one billing detail: "auto", "never" or "always", from options.fields.billingDetails. */
export function wanted(options, name, inAddress = false) {
  const choice = options.fields?.billingDetails ?? "auto";
  if (typeof choice === "string") return choice;
  if (!inAddress) return choice[name] ?? "auto";
  const address = choice.address ?? "auto";
  return typeof address === "string" ? address : (address[name] ?? "auto");
}

/** Country, and the postal code where the country has one for cards. */
export function countryFields({ options, home, onChange }) {
  const defaults = options.defaultValues?.billingDetails?.address ?? {};
  const country = new Field({
    name: "country",
    label: "Country",
    options: countries(),
    value: isCountry(defaults.country) ? defaults.country : home,
    autocomplete: "billing country",
    width: "half",
    onChange: () => {
      followCountry();
      onChange();
    },
  });
  const postalCode = new Field({
    name: "postalCode",
    label: "Postal code",
    autocomplete: "billing postal-code",
    width: "half",
    check: (text) => checkPostalCode(text, country.value),
    onChange,
  });
  const followCountry = () => {
    const asked = postalCodeOf(country.value);
    postalCode.hidden = !asked;
    postalCode.node.hidden = !asked;
    country.node.classList.toggle("Field--full", !asked);
    if (!asked) return;
    postalCode.label.textContent = asked.label;
    postalCode.input.placeholder = asked.placeholder;
    postalCode.input.inputMode = asked.inputMode;
  };
  followCountry();
  postalCode.value = defaults.postal_code ?? "";
  if (wanted(options, "postalCode", true) === "never") postalCode.omitted = true;
  if (wanted(options, "country", true) === "never") country.omitted = true;
  return [country, postalCode].filter((field) => !field.omitted);
}

/** Customers' name and e-mail, each where it is asked for. */
export function contactFields({ options, onChange, ask }) {
  const defaults = options.defaultValues?.billingDetails ?? {};
  const fields = [];
  if (isAsked("name")) {
    const placeholder = "First and last name";
    fields.push(
      new Field({ name: "name", label: "Full name", placeholder, autocomplete: "billing name", check: filled("name"), onChange }),
    );
  }
  if (isAsked("email")) {
    const typed = { type: "email", inputMode: "email", placeholder: "you@example.com" };
    fields.push(
      new Field({ name: "email", label: "Email", ...typed, autocomplete: "billing email", check: checkEmail, onChange }),
    );
  }
  for (const field of fields) field.value = defaults[field.name] ?? "";
  return fields;

  function isAsked(name) {
    const choice = wanted(options, name);
    return choice === "always" || (choice !== "never" && ask.includes(name));
  }
}

/** billing_details as the API takes them, from the fields shown and, where nothing is shown, the shop's defaults. */
export function billingDetails(fields, options) {
  const value = (name) => fields.find((field) => field.name === name && !field.hidden)?.value;
  const { name, email, phone, address = {} } = options.defaultValues?.billingDetails ?? {};
  return {
    name: value("name") ?? name,
    email: value("email") ?? email,
    phone,
    address: {
      ...address,
      line1: value("line1") ?? address.line1,
      line2: value("line2") ?? address.line2,
      city: value("city") ?? address.city,
      state: value("state") ?? address.state,
      country: value("country") ?? address.country,
      postal_code: value("postalCode") ?? address.postal_code,
    },
  };
}

export function filled(what) {
  return (text) => (text ? null : problem(`incomplete_${what}`, `Your ${what.replace("_", " ")} is incomplete.`));
}

/** Where a country's postal codes have a known pattern, the pattern decides. */
export function checkPostalCode(text, country) {
  const asked = postalCodeOf(country);
  if (asked ? asked.pattern.test(text) : text) return null;
  return problem("incomplete_zip", "Your postal code is incomplete.");
}

function checkEmail(text) {
  if (!text) return problem("incomplete_email", "Your email is incomplete.");
  return /^\S+@\S+\.\S+$/.test(text) ? null : problem("incomplete_email", "Your email address is incomplete.");
}
