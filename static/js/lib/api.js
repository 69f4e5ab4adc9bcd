// @ts-check

/** A refusal of the server, or a failure on the way to it; `message` may be shown to the user. */
export class ApiError extends Error {
  /** @param {{code: string, message: string, url?: string | null, status?: number, quote?: unknown}} facts */
  constructor({ code, message, url = null, status = 0, quote = null }) {
    super(message);
    this.code = code;
    this.url = url;
    this.status = status;
    this.quote = quote;
  }
}

/** @param {string} name */
function meta(name) {
  return document.querySelector(`meta[name="${name}"]`)?.getAttribute("content") ?? "";
}

function logIn() {
  const login = new URL(meta("login-url"), location.href);
  login.searchParams.set("next", location.pathname + location.search);
  location.assign(login);
}

/**
 * Sends `body` as JSON and gives the answer's JSON. Raises ApiError; a signed-out user is taken to the log-in page.
 * @param {string} url
 * @param {Record<string, unknown>} [body]
 * @returns {Promise<any>}
 */
export function post(url, body = {}) {
  return ask(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json", "X-CSRFToken": meta("csrf-token") },
    body: JSON.stringify(body),
  });
}

/**
 * Asks for JSON, as `post` does.
 * @param {string} url
 * @param {Record<string, string>} query
 * @returns {Promise<any>}
 */
export function get(url, query) {
  return ask(`${url}?${new URLSearchParams(query)}`, { headers: { Accept: "application/json" } });
}

/**
 * @param {string} url
 * @param {RequestInit} options
 */
async function ask(url, options) {
  let response;
  try {
    response = await fetch(url, options);
  } catch {
    throw new ApiError({ code: "network", message: "We can’t be reached right now. Check your connection and try again." });
  }
  const answer = await response.json().catch(() => null);
  if (response.ok && answer) return answer;
  if (response.status === 401) {
    logIn();
    return new Promise(() => {}); // the page is being left: nothing more to say on it
  }
  throw new ApiError({
    code: "server",
    message: "Something went wrong on our side. Please try again in a moment.",
    ...answer?.error,
    status: response.status,
  });
}
