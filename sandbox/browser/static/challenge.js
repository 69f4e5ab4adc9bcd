import { callApi } from "./api.js";
import { connectToShop } from "./parent.js";

// The one publishable key there is; a customer whom the shop's server sent here brings none.
const SANDBOX_KEY = "pk_test_sandbox";
const asked = new URLSearchParams(window.location.search);
const source = asked.get("source");
const buttons = [...document.querySelectorAll("button")];
const message = document.getElementById("message");
let key;
let answered = false;

const tell = connectToShop(open, { giveUp: () => answer("fail") });
if (asked.has("redirect")) open({ key: SANDBOX_KEY });
document.getElementById("test-source-authorize-3ds").addEventListener("click", () => answer("complete"));
document.getElementById("test-source-fail-3ds").addEventListener("click", () => answer("fail"));
document.getElementById("cancel").addEventListener("click", () => answer("fail"));
document.addEventListener("keydown", ({ key: pressed }) => pressed === "Escape" && answer("fail"));

function open(hello) {
  key = hello.key;
  enable(true);
  showAmount(hello);
  document.querySelector("h1").focus();
}

/** Tell the API how the challenge went, once; the shop's page, or the page it asked to return to, does the rest. */
async function answer(outcome) {
  if (answered || !key) return;
  answered = true;
  enable(false);
  const result = await callApi("", "POST", "/v1/3ds2/authenticate", { key, source, outcome });
  if (asked.has("redirect") && result.return_url) return window.location.assign(result.return_url);
  // An authentication that is already over is no matter for this page: the intent tells.
  if (!asked.has("redirect") && result.error?.type !== "api_connection_error") return tell("done");
  message.textContent = result.error.message;
  answered = false;
  enable(true);
}

function enable(enabled) {
  for (const button of buttons) button.disabled = !enabled;
}

function showAmount({ amount, currency }) {
  if (!amount || !currency) return;
  const format = new Intl.NumberFormat(undefined, { style: "currency", currency });
  const { maximumFractionDigits } = format.resolvedOptions();
  document.getElementById("amount").textContent = `, for a payment of ${format.format(amount / 10 ** maximumFractionDigits)}`;
}
