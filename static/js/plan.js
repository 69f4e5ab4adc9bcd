// @ts-check
import { ApiError, get, post } from "./lib/api.js";
import { day, money } from "./lib/format.js";
import { say, setBusy } from "./lib/status.js";

/** @typedef {{description: string, amount: number, currency: string}} Line */
/** @typedef {{quote: string, amountDue: number, currency: string, effectiveAt: number, atOnce: boolean,
 *             upgrade: boolean, trial: boolean, nextAmount: number, nextAt: number,
 *             invoice: {total: number, lines: Line[]} | null}} Quote */

const form = /** @type {HTMLFormElement} */ (document.querySelector("#plan-form"));
const lines = /** @type {HTMLElement} */ (form.querySelector("#quote"));
const terms = /** @type {HTMLElement} */ (form.querySelector("#quote-terms"));
const sooner = /** @type {HTMLElement} */ (form.querySelector("#quote-sooner"));
const message = /** @type {HTMLElement} */ (form.querySelector("#plan-message"));
const button = /** @type {HTMLButtonElement} */ (form.querySelector("#confirm"));
const facts = /** @type {Record<string, string>} */ (form.dataset);
const method = { text: "Use another payment method", url: facts.methodUrl };
const again = { text: "Try again", onClick: ask };

/** The quote on the page: what the button charges. @type {Quote | null} */
let quote = null;
/** Counts the questions, so that only the answer to the last one is shown. */
let asked = 0;

form.addEventListener("change", ask);
form.addEventListener("submit", confirm);
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload(); // restored by the back button: the plan may be another one by now
});
if (chosen()) ask();

function chosen() {
  return /** @type {HTMLInputElement | null} */ (form.querySelector("input[name=plan]:checked"));
}

async function ask() {
  say(message, "");
  hide();
  await quoteAnew().catch((error) => refuse(error, again));
}

/** Asks what the chosen plan costs now, and shows it. */
async function quoteAnew() {
  const plan = chosen();
  if (!plan) return;
  const mine = ++asked;
  lines.setAttribute("aria-busy", "true");
  try {
    const answer = await get(facts.previewUrl, { subscriptionId: facts.subscription, newPriceLookupKey: plan.value });
    if (mine === asked) show(answer);
  } catch (error) {
    if (mine === asked) throw error;
  } finally {
    if (mine === asked) lines.setAttribute("aria-busy", "false");
  }
}

/** @param {Quote} answer */
function show(answer) {
  quote = answer;
  const name = chosen()?.dataset.name ?? "";
  const amount = (/** @type {number} */ cents) => money(cents, answer.currency, facts.locale);
  const rows = (answer.invoice?.lines ?? []).map((line) => row(line.description, amount(line.amount)));
  const total = answer.invoice?.total ?? 0;
  const balance = answer.amountDue - Math.max(total, 0);
  if (balance) rows.push(row(balance < 0 ? "Your credit" : "Left from before", amount(balance)));
  const due = row("Due today", amount(answer.amountDue));
  due.className = "total";
  rows.push(due);
  if (total < 0) rows.push(row("Credit for coming invoices", amount(-total)));
  rows.push(row(`Renews on ${day(answer.nextAt, facts.locale)}`, `${amount(answer.nextAmount)} ${chosen()?.dataset.every}`));
  lines.replaceChildren(...rows);
  const changes = day(answer.effectiveAt, facts.locale);
  terms.textContent = answer.trial
    ? `You get ${name} at once. Your trial goes on until ${day(answer.nextAt, facts.locale)}, and nothing is charged before.`
    : answer.atOnce
    ? `You get ${name} at once. What you have not used of your plan is taken off.`
    : `You keep your plan until ${changes}, and then change to ${name}. Nothing is charged today.`;
  if (answer.amountDue && facts.method) terms.append(` It is charged to ${facts.method}.`);
  sooner.hidden = answer.atOnce || !answer.upgrade;
  button.textContent = `Change to ${name} ` + (answer.amountDue ? `and pay ${amount(answer.amountDue)}` : answer.atOnce ? "now" : `on ${changes}`);
  button.hidden = false;
  setBusy(button, false);
}

function hide() {
  quote = null;
  button.hidden = true;
  sooner.hidden = true;
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
  const order = { subscriptionId: facts.subscription, newPriceLookupKey: plan.value, quote: quote.quote };
  setBusy(button, true);
  say(message, "");
  try {
    await follow(await post(facts.updateUrl, order), order);
  } catch (error) {
    if (error instanceof ApiError && error.quote) show(/** @type {Quote} */ (error.quote));
    refuse(error);
    setBusy(button, false);
    button.focus();
  }
}

/**
 * @param {{status: string, clientSecret?: string, message?: string | null}} answer
 * @param {Record<string, string>} order
 */
async function follow(answer, order) {
  if (answer.status === "requires_action" && answer.clientSecret) {
    const stripe = window.Stripe?.(facts.publishableKey);
    if (!stripe) return declined("Your bank’s question could not be shown. A blocker or the connection may be in the way.");
    const { error } = await stripe.handleNextAction({ clientSecret: answer.clientSecret });
    if (error) return declined(error.message);
    await post(facts.updateUrl, order).catch(() => null); // the shop asks how it stands, before its page is shown
  } else if (answer.status !== "changed" && answer.status !== "scheduled") {
    return declined(answer.message);
  }
  location.assign(facts.accountUrl);
}

/**
 * Drops the change that was not paid, and shows what it costs now, to be tried again.
 * @param {string | null | undefined} reason
 */
async function declined(reason) {
  await post(facts.undoUrl, { subscriptionId: facts.subscription }).catch(() => null);
  await quoteAnew().catch(hide);
  say(message, `${reason ?? "The payment did not go through."} You keep your plan, and nothing was charged.`, { action: method });
  button.focus();
}

/**
 * @param {unknown} error
 * @param {import("./lib/status.js").Action | null} [otherwise]
 */
function refuse(error, otherwise = null) {
  const known = error instanceof ApiError ? error : null;
  say(message, known?.message ?? "That did not work. Please try again.", {
    action: known?.url ? { text: "Go there", url: known.url } : otherwise,
  });
}
