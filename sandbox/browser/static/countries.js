const CODES =
  "AC AD AE AF AG AI AL AM AO AQ AR AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CD CF " +
  "CG CH CI CK CL CM CN CO CR CV CW CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FO FR GA GB GD GE GF GG GH GI GL " +
  "GM GN GP GQ GR GS GT GU GW GY HK HN HR HT HU ID IE IL IM IN IO IQ IS IT JE JM JO JP KE KG KH KI KM KN KR KW KY KZ LA LB " +
  "LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MK ML MM MN MO MQ MR MS MT MU MV MW MX MY MZ NA NC NE NG NI NL NO NP NR NU " +
  "NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PY QA RE RO RS RU RW SA SB SC SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SZ " +
  "TA TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG US UY UZ VA VC VE VG VN VU WF WS XK YE YT ZA ZM ZW";
const EEA = new Set("AT BE BG HR CY CZ DK EE FI FR DE GR HU IS IE IT LV LI LT LU MT NL NO PL PT RO SK SI ES SE".split(" "));
// Where a card payment asks for a postal code.
const POSTAL_CODES = {
  US: { label: "ZIP code", placeholder: "12345", pattern: /^\d{5}(-?\d{4})?$/, inputMode: "numeric" },
  CA: { label: "Postal code", placeholder: "M5T 1T4", pattern: /^[A-Z]\d[A-Z] ?\d[A-Z]\d$/i, inputMode: "text" },
  GB: { label: "Postal code", placeholder: "WS11 1DB", pattern: /^[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}$/i, inputMode: "text" },
};

/** [code, name] of every country, in the order of their names. */
export function countries(allowed) {
  const names = new Intl.DisplayNames(["en"], { type: "region" });
  const codes = allowed ?? CODES.split(" ");
  return codes.map((code) => [code, names.of(code)]).sort((one, other) => one[1].localeCompare(other[1]));
}

export const isCountry = (code) => CODES.split(" ").includes(code);
export const inEea = (code) => EEA.has(code);
export const postalCodeOf = (country) => POSTAL_CODES[country];
