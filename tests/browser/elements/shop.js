// The least a shop's page has to do. Options come from the address; what happened is kept on `window.shop` for the tests.
const asked = new URLSearchParams(location.search);
const given = (name) => JSON.parse(asked.get(name) ?? "{}");

const stripe = Stripe("pk_test_sandbox");
const elements = stripe.elements({ ...(asked.has("secret") ? { clientSecret: asked.get("secret") } : {}), ...given("elements") });
const form = document.querySelector("form");
const message = document.querySelector("#message");
const shop = (window.shop = { stripe, elements, events: [], heard: [], payment: elements.create("payment", given("payment")) });

addEventListener("message", ({ data }) => shop.heard.push(JSON.stringify(data)));
for (const name of ["loaderstart", "ready", "change", "focus", "blur", "escape", "loaderror"]) {
  shop.payment.on(name, (event) => {
    shop.events.push({ name, ...event });
    document.body.dataset[name] = String(shop.events.filter((seen) => seen.name === name).length);
  });
}
shop.payment.mount("#payment");
if (asked.has("address")) shop.address = elements.create("address", given("address")).mount("#address");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const confirm = asked.get("secret")?.startsWith("seti_") ? stripe.confirmSetup : stripe.confirmPayment;
  const confirmParams = { return_url: `${location.origin}/done?order=7`, ...given("params") };
  message.textContent = "…";
  shop.result = await confirm({ elements, confirmParams, ...given("confirm") });
  message.textContent = shop.result.error?.message ?? shop.result.paymentIntent?.status ?? shop.result.setupIntent?.status;
});
