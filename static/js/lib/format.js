// @ts-check

/**
 * An amount in the currency's smallest unit, as the reader writes money.
 * @param {number} amount
 * @param {string} currency
 */
export function money(amount, currency) {
  const format = new Intl.NumberFormat(undefined, { style: "currency", currency });
  return format.format(amount / 10 ** (format.resolvedOptions().maximumFractionDigits ?? 2));
}

/**
 * The day of an instant (Unix seconds, UTC), as the reader writes dates.
 * @param {number} instant
 */
export function day(instant) {
  return new Intl.DateTimeFormat(undefined, { dateStyle: "long", timeZone: "UTC" }).format(instant * 1000);
}
