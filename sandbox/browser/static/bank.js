import { digitsOf } from "./card.js";

// Length of an IBAN by country; others are taken as they come.
const IBAN_LENGTHS = {
  AT: 20, BE: 16, BG: 22, CH: 21, CY: 28, CZ: 24, DE: 22, DK: 18, EE: 20, ES: 24, FI: 18, FR: 27, GB: 22, GI: 23, GR: 27,
  HR: 21, HU: 28, IE: 22, IS: 26, IT: 27, LI: 21, LT: 20, LU: 20, LV: 21, MC: 27, MT: 31, NL: 18, NO: 15, PL: 28, PT: 25,
  RO: 24, SE: 24, SI: 19, SK: 24, SM: 27,
};

const problem = (code, message) => ({ type: "validation_error", code, message });
const compact = (text) => text.replace(/[^0-9A-Za-z]/g, "").toUpperCase();

/** Letters and digits in groups of four. */
export function formatIban(text) {
  const country = compact(text).slice(0, 2);
  return compact(text).slice(0, IBAN_LENGTHS[country] ?? 34).replace(/(.{4})(?=.)/g, "$1 ");
}

/** What is wrong with an IBAN: null, or a validation error. */
export function checkIban(text) {
  const iban = compact(text);
  const country = iban.slice(0, 2);
  if (iban.length >= 2 && !IBAN_LENGTHS[country]) {
    return problem("invalid_iban_country_code", `The IBAN you entered is invalid, “${country}” is not a supported country code.`);
  }
  if (iban.length < (IBAN_LENGTHS[country] ?? 15)) return problem("incomplete_iban", "The IBAN you entered is incomplete.");
  return remainder97(iban) === 1 ? null : problem("invalid_iban", "The IBAN you entered is invalid.");
}

export const ibanCountry = (text) => compact(text).slice(0, 2);
export const ibanOf = compact;

export function formatBsb(text) {
  const digits = digitsOf(text).slice(0, 6);
  return digits.length > 3 ? `${digits.slice(0, 3)}-${digits.slice(3)}` : digits;
}

export function checkBsb(text) {
  return digitsOf(text).length === 6 ? null : problem("incomplete_bsb", "The BSB you entered is incomplete.");
}

export function checkAccountNumber(text) {
  return digitsOf(text).length >= 5 ? null : problem("incomplete_account_number", "The account number you entered is incomplete.");
}

/** ISO 7064, digit by digit, because the whole number is too long for one. */
function remainder97(iban) {
  const digits = (iban.slice(4) + iban.slice(0, 4)).replace(/[A-Z]/g, (letter) => letter.charCodeAt(0) - 55);
  return [...digits].reduce((rest, digit) => (rest * 10 + Number(digit)) % 97, 0);
}
