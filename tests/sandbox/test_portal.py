"""The billing portal: configurations, sessions, and what customers do on its pages."""

from typing import Any

import pytest

from tests.sandbox.acts import paying_customer, previous, refused, types
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
