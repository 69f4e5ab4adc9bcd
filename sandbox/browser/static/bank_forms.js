import { checkAccountNumber, checkBsb, checkIban, formatBsb, formatIban, ibanCountry, ibanOf } from "./bank.js";
import { billingDetails, contactFields, filled, wanted } from "./billing.js";
import { digitsOf } from "./card.js";
import { inEea } from "./countries.js";
import { Field } from "./fields.js";

/** The form for SEPA Direct Debit. An account outside the EEA also needs its owner's address. */
export function sepaForm({ options, onChange }) {
  const iban = new Field({
    name: "iban",
    label: "IBAN",
    placeholder: "DE00 0000 0000 0000 0000 00",
    format: formatIban,
    check: checkIban,
    onChange: () => {
      askAddress();
      onChange();
    },
  });
  const address = addressFields({ options, onChange });
  const askAddress = () => {
    const country = ibanCountry(iban.value);
    for (const field of address) field.hidden = field.node.hidden = country.length < 2 || inEea(country);
  };
  askAddress();
  const fields = [...contactFields({ options, onChange, ask: ["name", "email"] }), iban, ...address];

  return {
    type: "sepa_debit",
    label: "SEPA Debit",
    fields,
    needsMandate: true,
    terms: (business) =>
      `By providing your payment information and confirming this payment, you authorise (A) ${business} and Stripe, our payment service provider, to send instructions to your bank to debit your account and (B) your bank to debit your account in accordance with those instructions. As part of your rights, you are entitled to a refund from your bank under the terms and conditions of your agreement with your bank. A refund must be claimed within 8 weeks starting from the date on which your account was debited.`,
    fieldOf: ({ code }) => (code === "invalid_bank_account_iban" ? iban : undefined),
    data: () => {
      const details = billingDetails(fields, options);
      if (!address[0]?.hidden) details.address.country ??= ibanCountry(iban.value);
      return { type: "sepa_debit", sepa_debit: { iban: ibanOf(iban.value) }, billing_details: details };
    },
  };
}

/** The form for BECS Direct Debit (Australia). */
export function becsForm({ options, onChange }) {
  const bsb = new Field({
    name: "bsb",
    label: "BSB",
    placeholder: "000-000",
    inputMode: "numeric",
    width: "half",
    format: formatBsb,
    check: checkBsb,
    onChange,
  });
  const accountNumber = new Field({
    name: "accountNumber",
    label: "Account number",
    placeholder: "000123456",
    inputMode: "numeric",
    width: "half",
    format: (text) => digitsOf(text).slice(0, 9),
    check: checkAccountNumber,
    onChange,
  });
  const fields = [...contactFields({ options, onChange, ask: ["name", "email"] }), bsb, accountNumber];

  return {
    type: "au_becs_debit",
    label: "BECS Direct Debit",
    fields,
    needsMandate: true,
    terms: (business) =>
      `By providing your bank account details and confirming this payment, you agree to this Direct Debit Request and the Direct Debit Request service agreement, and authorise Stripe to debit your account through the Bulk Electronic Clearing System (BECS) on behalf of ${business} for any amounts separately communicated to you. You certify that you are either an account holder or an authorised signatory on the account listed above.`,
    fieldOf: () => undefined,
    data: () => ({
      type: "au_becs_debit",
      au_becs_debit: { bsb_number: digitsOf(bsb.value), account_number: accountNumber.value },
      billing_details: billingDetails(fields, options),
    }),
  };
}

function addressFields({ options, onChange }) {
  const defaults = options.defaultValues?.billingDetails?.address ?? {};
  const field = (name, label, token, more) => new Field({ name, label, autocomplete: `billing ${token}`, onChange, ...more });
  const fields = [
    field("line1", "Address", "address-line1", { check: filled("address") }),
    field("city", "City", "address-level2", { width: "half", check: filled("city") }),
    field("postalCode", "Postal code", "postal-code", { width: "half", check: filled("postal_code") }),
  ];
  const known = { ...defaults, postalCode: defaults.postal_code };
  for (const field of fields) field.value = known[field.name] ?? "";
  return fields.filter(({ name }) => wanted(options, name, true) !== "never");
}
