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
  const forgotten = optedOut(fields?.billingDetails).find((path) => valueAt(given?.billing_details, path) === undefined);
  if (!forgotten) return null;
  const path = `billing_details.${forgotten}`;
  return {
    type: "invalid_request_error",
    message: `You specified "never" for fields.${path} when creating the payment Element, but did not pass confirmParams.payment_method_data.${path} when calling stripe.confirmPayment(). If you opt out of collecting data via the payment Element using the fields option, the data must be passed in when confirming.`,
  };
}

/** The paths, in the API's names, of what the shop said it would give by itself. */
function optedOut(choice) {
  if (choice === "never") return ["address.country"];
  const { address, ...others } = choice ?? {};
  const inAddress = address === "never" ? { country: "never" } : (address ?? {});
  const never = (group) => Object.keys(group).filter((name) => group[name] === "never");
  return [...never(others), ...never(inAddress).map((name) => `address.${ADDRESS_NAMES[name] ?? name}`)];
}

const valueAt = (details, path) => path.split(".").reduce((inner, name) => inner?.[name], details);
