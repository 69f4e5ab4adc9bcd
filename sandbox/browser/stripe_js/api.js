/**
 * Ask the API as a browser may: publishable key, form-encoded, no custom headers (so that no preflight is needed).
 * Never rejects: the answer's JSON, or `{error}` as Stripe.js reports it.
 */
async function callApi(origin, method, path, params) {
  const body = formEncode(params).toString();
  const url = method === "GET" ? `${origin}${path}?${body}` : `${origin}${path}`;
  try {
    const response = await fetch(url, {
      method,
      body: method === "GET" ? undefined : formEncode(params),
      credentials: "omit",
    });
    return await response.json();
  } catch {
    return {
      error: {
        type: "api_connection_error",
        message: "We are experiencing issues connecting to our payments provider. Please check your internet connection and try again.",
      },
    };
  }
}

/** Nested values as Stripe's names: {card: {number}} is card[number]. Undefined and null are left out. */
function formEncode(params, prefix = "", form = new URLSearchParams()) {
  for (const [key, value] of Object.entries(params)) {
    const name = prefix ? `${prefix}[${key}]` : key;
    if (value === undefined || value === null) continue;
    if (typeof value === "object") formEncode(value, name, form);
    else form.append(name, String(value));
  }
  return form;
}

/** A copy without empty texts and the objects that have nothing else in them. */
function withoutEmpty(value) {
  if (typeof value !== "object" || value === null) return value === "" ? undefined : (value ?? undefined);
  const kept = Object.entries(value)
    .map(([key, inner]) => [key, withoutEmpty(inner)])
    .filter(([, inner]) => inner !== undefined);
  return kept.length ? Object.fromEntries(kept) : undefined;
}
