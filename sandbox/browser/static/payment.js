import { callApi, withoutEmpty } from "./api.js";
import { applyAppearance } from "./appearance.js";
import { cardForm } from "./card_form.js";
import { make } from "./fields.js";
import { merged, missingDetails } from "./method_data.js";
import { connectToShop, reportLayout } from "./parent.js";
import { loadSession } from "./session.js";

const FORMS = { card: cardForm };
const main = document.querySelector("main");
let settings, options, session, forms, selected, scheme, reportHeight;
let focused = false;

const tell = connectToShop(start, {
  settings: changeSettings,
  options: (changed) => {
    options = changed;
    render();
  },
  focus: () => selected?.fields[0].input.focus(),
  blur: () => document.activeElement?.blur(),
  clear: () => {
    for (const field of shownFields()) if (field.input.tagName === "INPUT") field.value = "";
  },
  collapse: () => {},
  refresh: async () => {
    const found = await loadSession(settings);
    if (found.error) return { error: found.error };
    session = found;
    render();
    return {};
  },
  validate: () => {
    const error = firstProblem();
    return error ? { error } : { selectedPaymentMethod: selected.type };
  },
  confirm,
  createPaymentMethod,
});

async function start(hello) {
  ({ options, ...settings } = hello);
  scheme = applyAppearance(settings.appearance);
  const found = await loadSession(settings);
  if (found.error) return tell("loaderror", found.error);
  session = found;
  render();
  reportHeight = reportLayout(tell, main, () => scheme);
  watchFocus();
  tell("ready");
}

function changeSettings(changed) {
  const reread = JSON.stringify(changed.deferred) !== JSON.stringify(settings.deferred);
  settings = changed;
  scheme = applyAppearance(settings.appearance);
  reportHeight?.();
  if (reread) loadSession(settings).then((found) => found.error || ((session = found), render()));
}

/** Build the form for the session's methods. What was typed stays, by the names of the fields. */
function render() {
  const typed = Object.fromEntries((selected?.fields ?? []).map((field) => [field.name, field.value]));
  const { methods, home } = session;
  forms = methods.filter((type) => FORMS[type]).map((type) => FORMS[type]({ options, home, onChange: changed }));
  selected = forms.find(({ type }) => type === selected?.type) ?? forms[0];
  for (const field of selected.fields) {
    if (typed[field.name]) field.value = typed[field.name];
    field.input.disabled = Boolean(options.readOnly);
  }
  main.replaceChildren(make("div", { className: "Fields" }, ...selected.fields.map(({ node }) => node)), ...notes());
  changed();
}

function notes() {
  const badge = make("p", { className: "SandboxNote" }, make("span", { className: "SandboxBadge", textContent: "Sandbox" }), "Test cards only. No money moves.");
  const choice = options.terms?.[selected.type === "card" ? "card" : selected.type] ?? "auto";
  if (choice === "never" || (choice === "auto" && !session.forLater)) return [badge];
  const business = options.business?.name || session.business;
  return [make("p", { className: "TermsText", textContent: selected.terms(business) }), badge];
}

const shownFields = () => selected.fields.filter(({ hidden }) => !hidden);

function changed() {
  // While the forms are being built the fields already report.
  if (!selected?.fields) return;
  const fields = shownFields();
  const empty = fields.every((field) => field.empty || field.input.tagName === "SELECT");
  const complete = fields.every((field) => !field.problem());
  const invalid = fields.some(({ shown }) => shown);
  tell("state", { focus: focused, empty, complete, invalid });
  const address = Object.fromEntries(["country", "postalCode"].map((name) => [name, fields.find((field) => field.name === name)?.value || null]));
  report({ empty, complete, collapsed: false, value: { type: selected.type, billingDetails: { address } } });
}

let reported = "";
function report(change) {
  const text = JSON.stringify(change);
  if (text !== reported && reported) tell("change", change);
  reported = text;
}

/** The first problem, all of them shown and the first field that has one focused; null when everything is well. */
function firstProblem() {
  const wrong = shownFields().filter((field) => field.problem());
  for (const field of wrong) field.show(field.problem());
  wrong[0]?.input.focus();
  return wrong[0]?.problem() ?? null;
}

async function confirm({ intent, params }) {
  const error = firstProblem();
  if (error) return { error };
  const { payment_method_data: given, billingAddress, ...rest } = params;
  const missing = missingDetails(options, given);
  if (missing) return { error: missing };
  const answer = await callApi("", "POST", `/v1/${intent.kind}_intents/${intent.id}/confirm`, {
    ...rest,
    payment_method_data: merged(withoutEmpty(selected.data()), withoutEmpty({ billing_details: billingAddress }), given),
    expected_payment_method_type: selected.type,
    use_stripe_sdk: true,
    key: settings.key,
    client_secret: intent.clientSecret,
  });
  showOnField(answer.error);
  return answer;
}

async function createPaymentMethod(params) {
  const error = firstProblem();
  if (error) return { error };
  return callApi("", "POST", "/v1/payment_methods", { ...merged(withoutEmpty(selected.data()), params), key: settings.key });
}

function showOnField(error) {
  const field = error && selected.fieldOf(error);
  field?.show({ type: "validation_error", code: error.code, message: error.message });
}

function watchFocus() {
  main.addEventListener("focusin", () => setFocus(true));
  main.addEventListener("focusout", ({ relatedTarget }) => relatedTarget || setFocus(false));
  main.addEventListener("keydown", ({ key }) => key === "Escape" && tell("escape"));
}

function setFocus(now) {
  if (now === focused) return;
  focused = now;
  tell(now ? "focus" : "blur");
  changed();
}
