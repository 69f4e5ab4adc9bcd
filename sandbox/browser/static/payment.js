import { callApi, withoutEmpty } from "./api.js";
import { applyAppearance } from "./appearance.js";
import { becsForm, sepaForm } from "./bank_forms.js";
import { cardForm } from "./card_form.js";
import { make } from "./fields.js";
import { firstProblem, StateReport } from "./form_state.js";
import { chooser, layoutOf } from "./layout.js";
import { merged, missingDetails } from "./method_data.js";
import { connectToShop, reportLayout } from "./parent.js";
import { deferredMismatch, loadSession } from "./session.js";

const FORMS = { card: cardForm, sepa_debit: sepaForm, au_becs_debit: becsForm };
const TERMS_OPTION = { card: "card", sepa_debit: "sepaDebit", au_becs_debit: "auBecsDebit" };
const NOTHING_CHOSEN = {
  type: "validation_error",
  code: "incomplete_payment_details",
  message: "Please select a payment method.",
};
const main = document.querySelector("main");
let settings, options, session, scheme, reportHeight;
let forms = [];
let selected = null;

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
  collapse: () => layoutOf(options.layout).type === "accordion" && select(null),
  refresh,
  validate: () => {
    const error = problem();
    return error ? { error } : { selectedPaymentMethod: selected.type };
  },
  confirm,
  createPaymentMethod,
});
const report = new StateReport(tell, () => ({ fields: shownFields(), change: changeDetail() }));

async function start(hello) {
  ({ options, ...settings } = hello);
  scheme = applyAppearance(settings.appearance);
  if (settings.loader === "never") main.replaceChildren();
  reportHeight = reportLayout(tell, main, () => scheme);
  const found = await loadSession(settings);
  if (found.error) {
    main.replaceChildren();
    return tell("loaderror", found.error);
  }
  session = found;
  render();
  report.watch(main);
  tell("ready");
}

async function changeSettings(changed) {
  const reread = JSON.stringify(changed.deferred) !== JSON.stringify(settings.deferred);
  settings = changed;
  scheme = applyAppearance(settings.appearance);
  reportHeight();
  if (reread) await refresh();
}

/** Ask again what there is to pay, and with what. */
async function refresh() {
  const found = await loadSession(settings);
  if (found.error) return { error: found.error };
  session = found;
  render();
  return {};
}

/** Build the forms of the session's methods. What was typed stays. */
function render() {
  if (!session) return;
  const { methods, home } = session;
  const before = new Map(forms.map((form) => [form.type, form]));
  forms = ordered(methods).map((type) => FORMS[type]({ options, home, onChange: () => report.update() }));
  for (const form of forms) takeOver(before.get(form.type), form);
  const again = forms.find(({ type }) => type === selected?.type);
  select(again ?? (layoutOf(options.layout).collapsed ? null : forms[0]));
}

/** The methods this form knows, in the session's order or the shop's. Link and wallets are passed over. */
function ordered(methods) {
  const first = (options.paymentMethodOrder ?? []).filter((type) => methods.includes(type));
  return [...new Set([...first, ...methods])].filter((type) => FORMS[type]);
}

function takeOver(before, form) {
  for (const field of form.fields) {
    const typed = before?.fields.find(({ name }) => name === field.name)?.value;
    if (typed) field.value = typed;
    field.input.disabled = Boolean(options.readOnly);
  }
}

function select(form) {
  selected = form;
  const panel = make("div", { id: "method-panel", className: "Panel" });
  if (form) panel.append(make("div", { className: "Fields" }, ...form.fields.map(({ node }) => node)), ...terms(form));
  if (form && document.querySelector('[role="tablist"]')) panel.setAttribute("role", "tabpanel");
  const badge = make("span", { className: "SandboxBadge", textContent: "Sandbox" });
  const note = make("p", { className: "SandboxNote" }, badge, "Test data only. No money moves.");
  main.replaceChildren(...chooser(layoutOf(options.layout).type, forms, form, panel, select), note);
  report.update();
}

/** Stripe's terms: for bank debits always the mandate, for cards when the shop will charge again by itself. */
function terms(form) {
  const choice = options.terms?.[TERMS_OPTION[form.type]] ?? "auto";
  const shown = choice === "always" || (choice === "auto" && (session.forLater || form.needsMandate));
  if (!shown) return [];
  return [make("p", { className: "TermsText", textContent: form.terms(options.business?.name || session.business) })];
}

const shownFields = () => selected?.fields.filter(({ hidden }) => !hidden) ?? [];

function changeDetail() {
  const valueOf = (name) => shownFields().find((field) => field.name === name)?.value || null;
  const address = { country: valueOf("country"), postalCode: valueOf("postalCode") };
  return { collapsed: !selected, value: { type: selected?.type ?? "", billingDetails: { address } } };
}

const problem = () => (selected ? firstProblem(shownFields()) : NOTHING_CHOSEN);

async function confirm({ intent, params }) {
  const error = problem();
  if (error) return { error };
  const { payment_method_data: given, billingAddress, ...rest } = params;
  const refused = missingDetails(options, given) ?? (await deferredMismatch(settings, intent));
  if (refused) return { error: refused };
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
  const error = problem();
  if (error) return { error };
  return callApi("", "POST", "/v1/payment_methods", { ...merged(withoutEmpty(selected.data()), params), key: settings.key });
}

function showOnField(error) {
  const field = error && selected.fieldOf(error);
  field?.show({ type: "validation_error", code: error.code, message: error.message });
}
