import { callApi } from "./api.js";
import { connectToShop } from "./parent.js";

const source = new URLSearchParams(window.location.search).get("source");
const buttons = [...document.querySelectorAll("button")];
let key;
let answered = false;

const tell = connectToShop(
  (hello) => {
    key = hello.key;
    enable(true);
    showAmount(hello);
    document.querySelector("h1").focus();
  },
  { giveUp: () => answer("fail") },
);
document.getElementById("test-source-authorize-3ds").addEventListener("click", () => answer("complete"));
document.getElementById("test-source-fail-3ds").addEventListener("click", () => answer("fail"));
document.getElementById("cancel").addEventListener("click", () => answer("fail"));
document.addEventListener("keydown", ({ key: pressed }) => pressed === "Escape" && answer("fail"));

/** Tell the API how the challenge went, once; the shop's page then looks at the intent. */
async function answer(outcome) {
  if (answered || !key) return;
  answered = true;
  enable(false);
  const result = await callApi("", "POST", "/v1/3ds2/authenticate", { key, source, outcome });
  // An authentication that is already over is no matter for this page either: the intent tells.
  if (result.error?.type !== "api_connection_error") return tell("done");
  document.getElementById("message").textContent = result.error.message;
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
