// First digits, lengths, group sizes and security code of each brand. The first match counts.
const BRANDS = [
  { name: "visa", label: "Visa", starts: /^4/ },
  { name: "mastercard", label: "Mastercard", starts: /^(5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720)/ },
  { name: "amex", label: "Amex", starts: /^3[47]/, lengths: [15], groups: [4, 6, 5], cvc: 4 },
  { name: "diners", label: "Diners", starts: /^36/, lengths: [14], groups: [4, 6, 4] },
  { name: "diners", label: "Diners", starts: /^3(0[0-5]|[89])/ },
  { name: "jcb", label: "JCB", starts: /^35/ },
  { name: "discover", label: "Discover", starts: /^(6011|65|64[4-9])/ },
  { name: "unionpay", label: "UnionPay", starts: /^(62|81)/, lengths: [16, 17, 18, 19] },
];
const UNKNOWN = { name: "unknown", label: "" };
const DEFAULTS = { lengths: [16], groups: [4, 4, 4, 4, 3], cvc: 3 };

export const digitsOf = (text) => text.replace(/\D/g, "");

/** The brand a number belongs to, as far as it has been typed. */
export function brandOf(number) {
  const digits = digitsOf(number);
  return { ...DEFAULTS, ...(BRANDS.find(({ starts }) => starts.test(digits)) ?? UNKNOWN) };
}

/** Digits in the brand's groups, cut at the longest length the brand has. */
export function formatNumber(text) {
  const { groups, lengths } = brandOf(text);
  let rest = digitsOf(text).slice(0, lengths.at(-1));
  const parts = [];
  for (const size of groups) {
    if (!rest) break;
    parts.push(rest.slice(0, size));
    rest = rest.slice(size);
  }
  return parts.join(" ");
}

/** "5" becomes "05 / ", "1230", "12/30" and "12/2030" become "12 / 30". */
export function formatExpiry(text) {
  let digits = digitsOf(text);
  if (/^[2-9]/.test(digits) || /^1[3-9]/.test(digits) || /^\s*\d\s*\//.test(text)) digits = `0${digits}`;
  if (/^\d\d20\d\d/.test(digits)) digits = digits.slice(0, 2) + digits.slice(4);
  // After "20" the year may still become one of four digits.
  digits = digits.slice(0, digits.slice(2, 4) === "20" ? 5 : 4);
  return digits.length < 2 ? digits : `${digits.slice(0, 2)} / ${digits.slice(2)}`;
}

const problem = (code, message) => ({ type: "validation_error", code, message });

/** What is wrong with a card number: null, or a validation error. */
export function checkNumber(text) {
  const digits = digitsOf(text);
  if (digits.length < brandOf(digits).lengths[0]) return problem("incomplete_number", "Your card number is incomplete.");
  return passesLuhn(digits) ? null : problem("invalid_number", "Your card number is invalid.");
}

export function checkExpiry(text, today = new Date()) {
  const digits = digitsOf(text);
  if (digits.length < 4) return problem("incomplete_expiry", "Your card's expiration date is incomplete.");
  const { month, year } = expiryOf(text);
  const thisYear = today.getFullYear();
  if (month < 1 || month > 12) return problem("invalid_expiry_month", "Your card's expiration month is invalid.");
  if (year < thisYear) return problem("invalid_expiry_year_past", "Your card's expiration year is in the past.");
  if (year > thisYear + 50) return problem("invalid_expiry_year", "Your card's expiration year is invalid.");
  if (year === thisYear && month < today.getMonth() + 1) {
    return problem("invalid_expiry_month_past", "Your card's expiration date is in the past.");
  }
  return null;
}

export function checkCvc(text, number) {
  if (digitsOf(text).length === brandOf(number).cvc) return null;
  return problem("incomplete_cvc", "Your card's security code is incomplete.");
}

export function expiryOf(text) {
  const digits = digitsOf(text);
  return { month: Number(digits.slice(0, 2)), year: 2000 + Number(digits.slice(2, 4)) };
}

function passesLuhn(digits) {
  let sum = 0;
  [...digits].reverse().forEach((digit, index) => {
    const doubled = Number(digit) * (index % 2 ? 2 : 1);
    sum += doubled > 9 ? doubled - 9 : doubled;
  });
  return sum % 10 === 0;
}
