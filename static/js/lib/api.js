// @ts-check

/** A refusal of the server, or a failure on the way to it; `message` may be shown to the user. */
export class ApiError extends Error {
  /** @param {{code: string, message: string, url?: string | null, status?: number}} facts */
  constructor({ code, message, url = null, status = 0 }) {
    super(message);
    this.code = code;
    this.url = url;
    this.status = status;
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
export async function post(url, body = {}) {
  let response;
  try {
    response = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json", "X-CSRFToken": meta("csrf-token") },
      body: JSON.stringify(body),
    });
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
