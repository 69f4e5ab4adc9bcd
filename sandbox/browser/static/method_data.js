const ADDRESS_NAMES = { postalCode: "postal_code" };

/** One object of several, nested ones merged, later ones winning. */
export function merged(...parts) {
  const result = {};
  for (const part of parts) {
    for (const [key, value] of Object.entries(part ?? {})) {
      const both = typeof value === "object" && value !== null && typeof result[key] === "object";
      result[key] = both ? merged(result[key], value) : value;
    }
  }
  return result;
}

/** A shop that opts out of collecting a detail must give it when confirming. Returns what it forgot, as an error, or null. */
export function missingDetails({ fields }, given) {
  const choice = fields?.billingDetails;
  const details = given?.billing_details;
  const address = choice === "never" ? "never" : choice?.address;
  const forgotten =
    Object.keys(typeof choice === "object" ? choice : {}).find((name) => choice[name] === "never" && name !== "address" && details?.[name] === undefined) ??
    Object.keys(typeof address === "object" ? address : {}).find((name) => address[name] === "never" && details?.address?.[ADDRESS_NAMES[name] ?? name] === undefined) ??
    (address === "never" && details?.address?.country === undefined ? "address.country" : undefined);
  if (!forgotten) return null;
  const path = `billing_details.${forgotten}`;
  return {
    type: "invalid_request_error",
    message: `You specified "never" for fields.${path} when creating the payment Element, but did not pass confirmParams.payment_method_data.${path} when calling stripe.confirmPayment(). If you opt out of collecting data via the payment Element using the fields option, the data must be passed in when confirming.`,
  };
}
