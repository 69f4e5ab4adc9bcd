// @ts-check

/**
 * An amount in the currency's smallest unit, as the rest of the page writes money.
 * @param {number} amount
 * @param {string} currency
 * @param {string} locale
 */
export function money(amount, currency, locale) {
  const format = new Intl.NumberFormat(locale, { style: "currency", currency });
  return format.format(amount / 10 ** (format.resolvedOptions().maximumFractionDigits ?? 2));
}

/**
 * The day of an instant (Unix seconds, UTC), as the rest of the page writes dates.
 * @param {number} instant
 * @param {string} locale
 */
export function day(instant, locale) {
  return new Intl.DateTimeFormat(locale, { dateStyle: "long", timeZone: "UTC" }).format(instant * 1000);
}
