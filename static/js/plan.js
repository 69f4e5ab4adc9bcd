// @ts-check
import { ApiError, get, post } from "./lib/api.js";
import { day, money } from "./lib/format.js";
import { say, setBusy } from "./lib/status.js";

/** @typedef {{description: string, amount: number, currency: string}} Line */
/** @typedef {{quote: string, amountDue: number, currency: string, effectiveAt: number, atOnce: boolean,
 *             nextAmount: number, nextAt: number, invoice: {total: number, lines: Line[]} | null}} Quote */

const form = /** @type {HTMLFormElement} */ (document.querySelector("#plan-form"));
const lines = /** @type {HTMLElement} */ (form.querySelector("#quote"));
const terms = /** @type {HTMLElement} */ (form.querySelector("#quote-terms"));
const message = /** @type {HTMLElement} */ (form.querySelector("#plan-message"));
const button = /** @type {HTMLButtonElement} */ (form.querySelector("#confirm"));
const facts = /** @type {Record<string, string>} */ (form.dataset);

/** The quote on the page: what the button charges. @type {Quote | null} */
let quote = null;
/** Counts the questions, so that only the answer to the last one is shown. */
let asked = 0;

form.addEventListener("change", ask);
form.addEventListener("submit", confirm);
if (chosen()) ask();

function chosen() {
  return /** @type {HTMLInputElement | null} */ (form.querySelector("input[name=plan]:checked"));
}

/** Asks what the chosen plan would cost, and shows it. */
async function ask() {
  const plan = chosen();
  if (!plan) return;
  const mine = ++asked;
  say(message, "");
  hide();
  lines.setAttribute("aria-busy", "true");
  try {
    const answer = await get(facts.previewUrl, { subscriptionId: facts.subscription, newPriceLookupKey: plan.value });
    if (mine === asked) show(answer);
  } catch (error) {
    if (mine === asked) refuse(error);
  } finally {
    if (mine === asked) lines.setAttribute("aria-busy", "false");
  }
}

/** @param {Quote} answer */
function show(answer) {
  quote = answer;
  const name = chosen()?.dataset.name ?? "";
  const rows = (answer.invoice?.lines ?? []).map((line) => row(line.description, money(line.amount, line.currency)));
  const due = row("Due today", money(answer.amountDue, answer.currency));
  due.className = "total";
  const next = `${money(answer.nextAmount, answer.currency)} on ${day(answer.nextAt)}`;
  lines.replaceChildren(...rows, due, row("Next payment", next));
  terms.textContent = answer.atOnce
    ? `You get ${name} at once. What you have not used of your plan is taken off.`
    : `You keep your plan until ${day(answer.effectiveAt)}, and then change to ${name}. Nothing is charged today.`;
  button.textContent = answer.atOnce
    ? `Change to ${name} and pay ${money(answer.amountDue, answer.currency)}`
    : `Change to ${name} on ${day(answer.effectiveAt)}`;
  button.hidden = false;
  setBusy(button, false);
}

function hide() {
  quote = null;
  button.hidden = true;
  terms.textContent = "";
  lines.replaceChildren();
}

/**
 * @param {string} term
 * @param {string} value
 */
function row(term, value) {
  const element = document.createElement("div");
  element.append(document.createElement("dt"), document.createElement("dd"));
  element.children[0].textContent = term;
  element.children[1].textContent = value;
  return element;
}

/** @param {SubmitEvent} event */
async function confirm(event) {
  event.preventDefault();
  const plan = chosen();
  if (!plan || !quote || button.disabled) return;
  setBusy(button, true);
  say(message, "");
  try {
    await follow(
      await post(facts.updateUrl, {
        subscriptionId: facts.subscription,
        newPriceLookupKey: plan.value,
        quote: quote.quote,
      }),
    );
  } catch (error) {
    if (error instanceof ApiError && error.quote) show(/** @type {Quote} */ (error.quote));
    refuse(error);
    setBusy(button, false);
  }
}

/** @param {{status: string, clientSecret?: string, message?: string | null}} answer */
async function follow(answer) {
  if (answer.status === "changed" || answer.status === "scheduled") return location.assign(facts.accountUrl);
  if (answer.status === "requires_action" && window.Stripe && answer.clientSecret) {
    const stripe = window.Stripe(facts.publishableKey);
    const { error } = await stripe.handleNextAction({ clientSecret: answer.clientSecret });
    if (!error) return location.assign(facts.accountUrl);
    return declined(error.message);
  }
  declined(answer.message);
}

/** @param {string | null | undefined} reason */
async function declined(reason) {
  await post(facts.undoUrl, { subscriptionId: facts.subscription }).catch(() => null);
  hide();
  say(message, `${reason ?? "The payment did not go through."} You keep your plan, and nothing was charged.`, {
    action: { text: "Use another payment method", url: facts.accountUrl },
  });
}

/** @param {unknown} error */
function refuse(error) {
  const known = error instanceof ApiError ? error : null;
  say(message, known?.message ?? "That did not work. Please try again.", {
    action: known?.url ? { text: "Go there", url: known.url } : null,
  });
}
