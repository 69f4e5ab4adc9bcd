"""The billing portal: configurations, sessions, and what customers do on its pages."""

from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from tests.sandbox.acts import FORM, monthly, paying_customer, previous, refused, types
from tests.sandbox_process import SandboxProcess

EVERYTHING: Any = {
    "customer_update": {"enabled": True, "allowed_updates": ["name", "email", "address", "phone", "tax_id"]},
    "invoice_history": {"enabled": True},
    "payment_method_update": {"enabled": True},
    "subscription_cancel": {
        "enabled": True,
        "cancellation_reason": {"enabled": True, "options": ["too_expensive", "unused", "other"]},
    },
}
BACK = "http://localhost:4242/account"


@pytest.fixture
def configuration(stripe_api: Any) -> Any:
    """A portal where customers can do all but change plan."""
    params = {"features": EVERYTHING, "default_return_url": BACK, "metadata": {"made_by": "shop"}}
    return stripe_api.billing_portal.configurations.create(params)


@pytest.mark.stripe_verified
def test_a_configuration_has_every_feature_and_switches_on_only_what_was_asked(stripe_api: Any) -> None:
    """What is left out is off, with Stripe's defaults."""
    made = stripe_api.billing_portal.configurations.create({"features": {"invoice_history": {"enabled": True}}})
    on = [name for name, feature in made.features.to_dict().items() if feature["enabled"]]
    assert (on, made.is_default, made.active, made.login_page.url) == (["invoice_history"], False, True, None)
    assert made.features.subscription_cancel.mode == "at_period_end"


def test_a_configuration_is_found_again_and_changed_name_by_name(
    sandbox: SandboxProcess, stripe_api: Any, configuration: Any
) -> None:
    """An update leaves alone what it does not name, and is told."""
    configurations = stripe_api.billing_portal.configurations
    changed = configurations.update(
        configuration.id,
        {"features": {"subscription_cancel": {"enabled": True, "mode": "immediately"}}, "name": "Shop"},
    )
    assert changed.features.subscription_cancel.cancellation_reason.options == ["too_expensive", "unused", "other"]
    assert [c.id for c in configurations.list({"active": True})] == [configuration.id]
    assert configurations.list({"is_default": True}).data == []
    updated = sandbox.events("billing_portal.configuration.updated")[0]
    assert previous(updated)["features"] == {"subscription_cancel": {"mode": "at_period_end"}}
    assert configurations.update(configuration.id, {"active": False}).active is False


@pytest.mark.stripe_verified
def test_plan_changes_need_the_products_they_may_lead_to(stripe_api: Any) -> None:
    """A portal that offers plan changes names its products, and prices of theirs."""
    configurations = stripe_api.billing_portal.configurations
    product = stripe_api.products.create({"name": "Basic"})
    wish: dict[str, Any] = {"enabled": True, "default_allowed_updates": ["price"]}
    error = refused(configurations.create, {"features": {"subscription_update": wish}})
    assert error.param == "features[subscription_update][products]"
    wish["products"] = [{"product": product.id, "prices": ["price_none"]}]
    error = refused(configurations.create, {"features": {"subscription_update": wish}})
    assert (error.http_status, error.code) == (400, "resource_missing")
    assert error.param == "features[subscription_update][products][0][prices][0]"


def test_a_session_is_a_link_on_the_sandbox_itself(
    sandbox: SandboxProcess, stripe_api: Any, configuration: Any
) -> None:
    """The customer is sent to its url; where they come back to is the configuration's unless told."""
    customer = stripe_api.customers.create()
    params = {"customer": customer.id, "configuration": configuration.id}
    session = stripe_api.billing_portal.sessions.create(params)
    assert session.url.startswith(f"{sandbox.url}/p/session/test_")
    assert (session.return_url, session.flow, session.configuration) == (BACK, None, configuration.id)
    assert types(sandbox.events())[-1] == "billing_portal.session.created"


def test_a_session_is_refused_without_a_configuration_or_a_customer(stripe_api: Any, configuration: Any) -> None:
    """No default has been saved in a Dashboard that the sandbox does not have."""
    sessions = stripe_api.billing_portal.sessions
    customer = stripe_api.customers.create()
    assert (
        "default configuration has not been created" in refused(sessions.create, {"customer": customer.id}).user_message
    )
    assert refused(sessions.create, {"configuration": configuration.id}).param == "customer"
    error = refused(sessions.create, {"customer": "cus_none", "configuration": configuration.id})
    assert (error.code, error.param) == ("resource_missing", "customer")


def test_a_flow_needs_its_feature_and_a_subscription_of_the_customer(
    sandbox: SandboxProcess, stripe_api: Any, configuration: Any
) -> None:
    """A flow that the configuration does not allow, or about somebody else's subscription, is refused by name."""
    sessions, subscription = stripe_api.billing_portal.sessions, paying_customer(sandbox)
    own = {"customer": subscription.customer, "configuration": configuration.id}
    flow: dict[str, Any] = {"type": "subscription_update", "subscription_update": {"subscription": subscription.id}}
    assert refused(sessions.create, own | {"flow_data": flow}).param == "flow_data[type]"
    flow = {"type": "subscription_cancel"}
    assert refused(sessions.create, own | {"flow_data": flow}).param == "flow_data[subscription_cancel]"
    flow["subscription_cancel"] = {"subscription": subscription.id}
    assert sessions.create(own | {"flow_data": flow}).flow.subscription_cancel.subscription == subscription.id
    other = own | {"customer": stripe_api.customers.create().id}
    assert "does not belong" in refused(sessions.create, other | {"flow_data": flow}).user_message


def visit(stripe_api: Any, configuration: Any, customer: Any, **more: Any) -> str:
    """The path of a new link into the portal."""
    params = {"customer": customer, "configuration": configuration.id, **more}
    return urlsplit(stripe_api.billing_portal.sessions.create(params).url).path


def submit(sandbox: SandboxProcess, path: str, **fields: str) -> tuple[int, dict[str, str], str]:
    return sandbox.request("POST", path, urlencode(fields), FORM)


def test_the_page_shows_plan_method_and_invoices(sandbox: SandboxProcess, stripe_api: Any, configuration: Any) -> None:
    """What the customer has, what it costs, how it is paid and what was billed."""
    subscription = paying_customer(sandbox)
    path = visit(stripe_api, configuration, subscription.customer)
    status, headers, page = sandbox.request("GET", path)
    assert status == 200
    assert "script-src 'self'" in headers["content-security-policy"]
    number = stripe_api.invoices.retrieve(subscription.latest_invoice).number
    for text in ("Basic", "$5.00 per month", "Your subscription renews on", "Visa •••• 4242", number, BACK):
        assert text in page


def test_canceling_sets_an_end_that_does_not_move_and_keeps_the_reason(
    sandbox: SandboxProcess, stripe_api: Any, configuration: Any
) -> None:
    """In flexible mode that is cancel_at; one update tells all of it, and it can be taken back."""
    subscription = paying_customer(sandbox)
    path, mark = visit(stripe_api, configuration, subscription.customer), sandbox.mark()
    cancel = f"{path}/subscriptions/{subscription.id}/cancel"
    page = sandbox.request("GET", cancel)[2]
    assert "It’s too expensive" in page and "I need more features" not in page
    status, headers, _ = submit(sandbox, cancel, feedback="unused", comment="Bye")
    assert (status, headers["location"]) == (303, f"{path}?done=canceled")
    ended = stripe_api.subscriptions.retrieve(subscription.id)
    assert (ended.status, ended.cancel_at_period_end) == ("active", False)
    assert ended.cancel_at == ended["items"].data[0].current_period_end
    assert ended.cancellation_details.to_dict() == {
        "comment": "Bye", "feedback": "unused", "feedback_option": None, "reason": "cancellation_requested"
    }  # fmt: skip
    assert "will be canceled on" in sandbox.request("GET", path)[2]
    submit(sandbox, f"{path}/subscriptions/{subscription.id}/renew")
    again = stripe_api.subscriptions.retrieve(subscription.id)
    assert (again.cancel_at, again.canceled_at) == (None, None)
    events = sandbox.events(since=mark)
    assert types(events) == ["customer.subscription.updated"] * 2
    assert previous(events[0])["cancel_at"] is None
    assert events[0].request.id and events[0].request.idempotency_key is None


def test_canceling_at_once_ends_it(sandbox: SandboxProcess, stripe_api: Any, configuration: Any) -> None:
    """With mode=immediately."""
    cancel = {"enabled": True, "mode": "immediately"}
    stripe_api.billing_portal.configurations.update(configuration.id, {"features": {"subscription_cancel": cancel}})
    subscription = paying_customer(sandbox)
    path, mark = visit(stripe_api, configuration, subscription.customer), sandbox.mark()
    submit(sandbox, f"{path}/subscriptions/{subscription.id}/cancel")
    assert stripe_api.subscriptions.retrieve(subscription.id).status == "canceled"
    assert types(sandbox.events(since=mark)) == ["customer.subscription.deleted"]
    assert submit(sandbox, f"{path}/subscriptions/{subscription.id}/cancel")[0] == 404


def test_a_plan_is_changed_to_one_that_is_on_offer(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """The change is a subscription update with the configuration's prorations; other prices are not taken."""
    subscription, premium = paying_customer(sandbox), monthly(stripe_api, 1500, "Premium")
    basic = subscription["items"].data[0].price
    feature = {
        "enabled": True,
        "default_allowed_updates": ["price"],
        "products": [{"product": p.product, "prices": [p.id]} for p in (basic, premium)],
        "proration_behavior": "always_invoice",
    }
    configuration = stripe_api.billing_portal.configurations.create({"features": {"subscription_update": feature}})
    path = visit(stripe_api, configuration, subscription.customer)
    change = f"{path}/subscriptions/{subscription.id}/confirm"
    page = sandbox.request("GET", f"{path}/subscriptions/{subscription.id}/update")[2]
    assert "Premium, $15.00 per month" in page
    assert "Premium" in sandbox.request("GET", f"{change}?price={premium.id}")[2]
    assert submit(sandbox, change, price=premium.id)[0] == 303
    changed = stripe_api.subscriptions.retrieve(subscription.id)
    assert (changed["items"].data[0].price.id, changed["items"].data[0].quantity) == (premium.id, 1)
    assert stripe_api.invoices.retrieve(changed.latest_invoice).billing_reason == "subscription_update"
    assert submit(sandbox, change, price=monthly(stripe_api, 1).id)[0] == 404
    assert submit(sandbox, change, price=basic.id, quantity="7")[0] == 404


def changing_plans(stripe_api: Any, *prices: Any, **more: Any) -> Any:
    """A portal where plans can be changed to these prices."""
    feature = {
        "enabled": True,
        "default_allowed_updates": ["price", "quantity"],
        "products": [{"product": price.product, "prices": [price.id]} for price in prices],
        "proration_behavior": "always_invoice",
    }
    return stripe_api.billing_portal.configurations.create({"features": {"subscription_update": feature | more}})


def test_what_a_change_costs_is_said_before_and_charged_then(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """To the cent: the page's amount is the invoice's."""
    subscription, premium = paying_customer(sandbox), monthly(stripe_api, 1500, "Premium")
    configuration = changing_plans(stripe_api, subscription["items"].data[0].price, premium)
    path = visit(stripe_api, configuration, subscription.customer)
    sandbox.advance(days=10)
    path = visit(stripe_api, configuration, subscription.customer)
    change = f"{path}/subscriptions/{subscription.id}/confirm"
    page = sandbox.request("GET", f"{change}?price={premium.id}")[2]
    assert submit(sandbox, change, price=premium.id)[0] == 303
    changed = stripe_api.subscriptions.retrieve(subscription.id, {"expand": ["latest_invoice"]})
    paid = changed.latest_invoice.amount_paid
    assert 600 < paid < 700
    assert "Due now" in page and f"${paid / 100:.2f}" in page


def test_a_change_that_cannot_be_paid_is_not_made(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """The card's own words stand on the form."""
    subscription, premium = paying_customer(sandbox), monthly(stripe_api, 1500, "Premium")
    method = stripe_api.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": subscription.customer})
    stripe_api.subscriptions.update(subscription.id, {"default_payment_method": method.id})
    configuration = changing_plans(stripe_api, subscription["items"].data[0].price, premium)
    path = visit(stripe_api, configuration, subscription.customer)
    status, _, page = submit(sandbox, f"{path}/subscriptions/{subscription.id}/confirm", price=premium.id)
    assert (status, "Your card was declined." in page, "<form" in page) == (402, True, True)
    found = stripe_api.subscriptions.retrieve(subscription.id)
    assert (found.status, found["items"].data[0].price.product) == (
        "active",
        subscription["items"].data[0].price.product,
    )


def test_a_cheaper_plan_waits_for_the_periods_end_if_so_set(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """By a schedule, which can be taken back; a dearer one comes at once."""
    subscription, cheap = paying_customer(sandbox), monthly(stripe_api, 300, "Light")
    basic = subscription["items"].data[0].price
    conditions = [{"type": "decreasing_item_amount"}]
    configuration = changing_plans(stripe_api, basic, cheap, schedule_at_period_end={"conditions": conditions})
    path = visit(stripe_api, configuration, subscription.customer)
    about = f"{path}/subscriptions/{subscription.id}"
    for _ in range(2):
        assert submit(sandbox, f"{about}/confirm", price=cheap.id)[1]["location"].endswith("done=scheduled")
        assert "Light, $3.00 per month" in sandbox.request("GET", path)[2]
        assert submit(sandbox, f"{about}/keep")[0] == 303
        assert stripe_api.subscriptions.retrieve(subscription.id).schedule is None
    submit(sandbox, f"{about}/confirm", price=cheap.id)
    assert stripe_api.subscriptions.retrieve(subscription.id)["items"].data[0].price.id == basic.id
    sandbox.advance(days=32)
    later = stripe_api.subscriptions.retrieve(subscription.id, {"expand": ["latest_invoice"]})
    assert (later["items"].data[0].price.id, later.latest_invoice.total) == (cheap.id, 300)


def test_a_pause_lasts_until_the_customer_resumes(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """With the events of a pause by API."""
    pause = {"enabled": True, "duration": {"type": "indefinite"}}
    configuration = stripe_api.billing_portal.configurations.create({"features": {"subscription_pause": pause}})
    subscription = paying_customer(sandbox)
    flow = {"type": "subscription_pause", "subscription_pause": {"subscription": subscription.id}}
    link = visit(stripe_api, configuration, subscription.customer, flow_data=flow)
    page, mark = sandbox.request("GET", link)[1]["location"], sandbox.mark()
    assert "Pause your subscription" in sandbox.request("GET", page)[2]
    assert submit(sandbox, page)[0] == 303
    assert stripe_api.subscriptions.retrieve(subscription.id).status == "paused"
    path = link.removesuffix("/flow")
    assert "You are not billed until you resume." in sandbox.request("GET", path)[2]
    assert submit(sandbox, f"{path}/subscriptions/{subscription.id}/resume")[0] == 303
    assert stripe_api.subscriptions.retrieve(subscription.id).status == "active"
    told = types(sandbox.events(since=mark))
    assert {"customer.subscription.paused", "customer.subscription.resumed"} <= set(told)


def test_a_method_in_use_stays_until_another_takes_its_place(
    sandbox: SandboxProcess, stripe_api: Any, configuration: Any
) -> None:
    """The subscription's own card can't be removed; once another is the default, both places have that one."""
    subscription = paying_customer(sandbox)
    old = subscription.default_payment_method
    new = stripe_api.payment_methods.attach("pm_card_mastercard", {"customer": subscription.customer})
    path = visit(stripe_api, configuration, subscription.customer)
    status, _, page = submit(sandbox, f"{path}/payment-methods/{old}/remove")
    assert status == 400 and "in use" in page
    assert submit(sandbox, f"{path}/payment-methods/{new.id}/default")[0] == 303
    assert stripe_api.subscriptions.retrieve(subscription.id).default_payment_method == new.id
    assert submit(sandbox, f"{path}/payment-methods/{old}/remove")[0] == 303
    assert stripe_api.payment_methods.retrieve(old).customer is None


def test_details_are_changed_as_far_as_allowed(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """A field that the configuration leaves out stays; a bad address is told on the page and changes nothing."""
    update = {"enabled": True, "allowed_updates": ["name", "email"]}
    configuration = stripe_api.billing_portal.configurations.create({"features": {"customer_update": update}})
    customer = stripe_api.customers.create({"name": "Carol", "email": "carol@example.com", "phone": "123"})
    path = visit(stripe_api, configuration, customer.id) + "/customer/update"
    status, _, page = submit(sandbox, path, name="Carola", email="nonsense", phone="9")
    assert status == 400 and "Invalid email address: nonsense" in page and "<form" in page
    assert stripe_api.customers.retrieve(customer.id).name == "Carol"
    assert submit(sandbox, path, name="Carola", email="carola@example.com", phone="9")[0] == 303
    found = stripe_api.customers.retrieve(customer.id)
    assert (found.name, found.email, found.phone) == ("Carola", "carola@example.com", "123")


def test_a_tax_id_is_put_in_replaced_and_removed(sandbox: SandboxProcess, stripe_api: Any, configuration: Any) -> None:
    """A number of the wrong form changes nothing, not even the name beside it."""
    customer = stripe_api.customers.create({"name": "Carol", "email": "carol@example.com"})
    path = visit(stripe_api, configuration, customer.id) + "/customer/update"
    fields = {"name": "Carola", "email": "carol@example.com", "tax_id_type": "eu_vat"}
    status, _, page = submit(sandbox, path, **fields, tax_id_value="12")
    assert status == 400 and "Invalid value for eu_vat." in page
    assert stripe_api.customers.retrieve(customer.id).name == "Carol"
    for value in ("DE123456789", "DE123456789", "FR12345678901", ""):
        assert submit(sandbox, path, **fields, tax_id_value=value)[0] == 303
        found = [tax_id.value for tax_id in stripe_api.customers.tax_ids.list(customer.id)]
        assert found == ([value] if value else [])
    told = sandbox.events("customer.tax_id.created", "customer.tax_id.deleted")
    assert types(told) == ["customer.tax_id.created", "customer.tax_id.deleted"] * 2


def test_a_flow_leads_to_one_page_and_back_to_the_shop(
    sandbox: SandboxProcess, stripe_api: Any, configuration: Any
) -> None:
    """The link opens the flow's page; completing it leads where after_completion says."""
    subscription = paying_customer(sandbox)
    done = {"type": "redirect", "redirect": {"return_url": f"{BACK}?done=1"}}
    about = {"subscription": subscription.id}
    flow = {"type": "subscription_cancel", "subscription_cancel": about, "after_completion": done}
    path = visit(stripe_api, configuration, subscription.customer, flow_data=flow)
    assert path.endswith("/flow")
    status, headers, _ = sandbox.request("GET", path)
    assert status == 302 and headers["location"].endswith(f"/subscriptions/{subscription.id}/cancel")
    status, headers, _ = submit(sandbox, headers["location"])
    assert (status, headers["location"]) == (303, f"{BACK}?done=1")


def test_a_link_ends_and_opens_only_its_customers_things(
    sandbox: SandboxProcess, stripe_api: Any, configuration: Any
) -> None:
    """Unused for five minutes, an hour after its last use, unknown, cut short: 404. Others' things: 404, too."""
    theirs, mine = paying_customer(sandbox), stripe_api.customers.create()
    path = visit(stripe_api, configuration, mine.id)
    assert submit(sandbox, f"{path}/subscriptions/{theirs.id}/cancel")[0] == 404
    assert stripe_api.subscriptions.retrieve(theirs.id).cancel_at is None
    assert sandbox.request("GET", path[:-1])[0] == 404
    assert sandbox.request("GET", "/p/session/test_")[0] == 404
    unused = visit(stripe_api, configuration, mine.id)
    assert sandbox.request("GET", path)[0] == 200
    sandbox.advance(300)
    assert sandbox.request("GET", path)[0] == 200
    status, _, page = sandbox.request("GET", unused)
    assert status == 404 and "This link has expired" in page
    sandbox.advance(hours=1)
    assert sandbox.request("GET", path)[0] == 404
