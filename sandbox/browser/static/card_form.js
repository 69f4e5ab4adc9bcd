import { billingDetails, contactFields, countryFields } from "./billing.js";
import { brandOf, checkCvc, checkExpiry, checkNumber, digitsOf, expiryOf, formatExpiry, formatNumber } from "./card.js";
import { Field, make } from "./fields.js";

const SHOWN_BRANDS = ["Visa", "Mastercard", "Amex"];
// Which field an error of the API belongs to.
const FIELD_OF_CODE = {
  incorrect_number: "number",
  invalid_number: "number",
  invalid_expiry_month: "expiry",
  invalid_expiry_year: "expiry",
  expired_card: "expiry",
  incorrect_cvc: "cvc",
  invalid_cvc: "cvc",
  incorrect_zip: "postalCode",
};

/** The form for cards: its fields, and what they become in a request. */
export function cardForm({ options, home, onChange }) {
  const badges = make("span", { className: "CardBrands", attributes: { "aria-hidden": "true" } });
  const number = new Field({
    name: "number",
    label: "Card number",
    placeholder: "1234 1234 1234 1234",
    autocomplete: "billing cc-number",
    inputMode: "numeric",
    format: formatNumber,
    check: checkNumber,
    adornment: badges,
    onChange: () => {
      showBrand();
      onChange();
    },
  });
  const expiry = new Field({
    name: "expiry",
    label: "Expiration date",
    placeholder: "MM / YY",
    autocomplete: "billing cc-exp",
    inputMode: "numeric",
    width: "half",
    format: formatExpiry,
    check: (text) => checkExpiry(text),
    onChange,
  });
  const cvc = new Field({
    name: "cvc",
    label: "Security code",
    placeholder: "CVC",
    autocomplete: "billing cc-csc",
    inputMode: "numeric",
    width: "half",
    format: (text) => digitsOf(text).slice(0, brandOf(number.value).cvc),
    check: (text) => checkCvc(text, number.value),
    onChange,
  });
  const showBrand = () => {
    const brand = brandOf(number.value);
    const labels = brand.label ? [brand.label] : SHOWN_BRANDS;
    badges.replaceChildren(...labels.map((label) => make("span", { className: "CardBrand", textContent: label })));
  };
  showBrand();
  const contact = contactFields({ options, onChange, ask: [] });
  const fields = [...contact, number, expiry, cvc, ...countryFields({ options, home, onChange })];

  return {
    type: "card",
    label: "Card",
    fields,
    terms: (business) =>
      `By providing your card information, you allow ${business} to charge your card for future payments in accordance with their terms.`,
    fieldOf: ({ code }) => fields.find((field) => field.name === FIELD_OF_CODE[code]),
    data: () => {
      const { month, year } = expiryOf(expiry.value);
      return {
        type: "card",
        card: { number: digitsOf(number.value), exp_month: month, exp_year: year, cvc: cvc.value },
        billing_details: billingDetails(fields, options),
      };
    },
  };
}
