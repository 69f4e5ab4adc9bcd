"""POST /v1/billing_portal/sessions: a customer's short-lived way into the portal."""

import secrets
from typing import Any

from stripe.params.billing_portal import SessionCreateParams

from sandbox.billing import subscribing
from sandbox.errors import StripeError, missing
from sandbox.ids import random_text
from sandbox.resources.portal_configurations import KIND as CONFIGURATION
from sandbox.routes import route
from sandbox.store import Document
from sandbox.world import World, formats

KIND = "billing_portal.session"
UNUSED_FOR, USED_FOR = 5 * 60, 3600  # seconds until a link that nobody opened, or one that nobody uses any more, ends
NO_DEFAULT = (
    "No configuration provided and your test mode default configuration has not been created. Provide a configuration "
    "or create your default by saving your customer portal settings in test mode at "
    "https://dashboard.stripe.com/test/settings/billing/portal."
)
# The feature that a flow needs, and whether the flow is about a subscription.
FLOWS = {
    "customer_update": ("customer_update", False),
    "payment_method_update": ("payment_method_update", False),
    "subscription_cancel": ("subscription_cancel", True),
    "subscription_pause": ("subscription_pause", True),
    "subscription_update": ("subscription_update", True),
    "subscription_update_confirm": ("subscription_update", True),
}


@route(
    "POST /v1/billing_portal/sessions",
    SessionCreateParams,
    "configuration customer flow_data.after_completion flow_data.subscription_cancel.subscription "
    "flow_data.subscription_pause flow_data.subscription_update flow_data.subscription_update_confirm.items "
    "flow_data.subscription_update_confirm.subscription flow_data.type locale return_url",
)
def create(world: World, params: dict[str, Any]) -> Document:
    if not params.get("customer"):
        raise missing("customer")
    customer = world.get("customer", params["customer"], "customer")
    if "configuration" not in params:
        raise StripeError(NO_DEFAULT)
    configuration = world.get(CONFIGURATION, params["configuration"], "configuration")
    if not configuration["active"]:
        raise StripeError(f"The configuration `{configuration['id']}` is not active.", param="configuration")
    secret = random_text(24)
    session = world.create(
        KIND,
        "bps_",
        configuration=configuration["id"],
        customer=customer["id"],
        flow=_flow(world, params["flow_data"], customer, configuration) if "flow_data" in params else None,
        locale=params.get("locale"),
        origin=world.caller.origin,
        return_url=params.get("return_url") or configuration["default_return_url"],
        secret=secret,
        used=None,
    )
    world.emit(f"{KIND}.created", session)
    return session


@formats(KIND)
def format_session(world: World, session: Document) -> dict[str, Any]:
    names = "id object configuration created customer flow locale return_url"
    return {name: session[name] for name in names.split()} | {
        "customer_account": None,
        "livemode": False,
        "on_behalf_of": None,
        "url": f"{session['origin']}/p/session/{token(session)}" + ("/flow" if session["flow"] else ""),
    }


def token(session: Document) -> str:
    """What the link holds: the session's id and its secret."""
    return f"test_{session['id'].partition('_')[2]}{session['secret']}"


def opened(world: World, given: str) -> Document | None:
    """The session of a link, kept open by this use; None when there is none, or when it is over."""
    session = world.find(f"bps_{given[5:29]}", KIND)
    if session is None or not secrets.compare_digest(token(session).encode(), given.encode()):
        return None
    ends = session["created"] + UNUSED_FOR if session["used"] is None else session["used"] + USED_FOR
    if world.now() >= ends:
        return None
    session["used"] = world.now()
    world.save(session)
    return session


def _flow(world: World, given: dict[str, Any], customer: Document, configuration: Document) -> dict[str, Any]:
    kind = given["type"]
    feature, about_subscription = FLOWS[kind]
    if not configuration["features"][feature]["enabled"]:
        noun = feature.replace("_", " ")
        text = f"This flow cannot be used because the {noun} feature in the portal configuration is disabled."
        raise StripeError(text, param="flow_data[type]")
    flow: dict[str, Any] = {"after_completion": _after(given.get("after_completion") or {}), "type": kind}
    flow |= dict.fromkeys(FLOWS)
    del flow["payment_method_update"]
    if kind == "customer_update":
        flow[kind] = {}
    if about_subscription:
        flow[kind] = _about(world, given, kind, customer)
    return flow


def _about(world: World, given: dict[str, Any], kind: str, customer: Document) -> dict[str, Any]:
    """Which subscription the flow is about, and what it is to confirm."""
    where = f"flow_data[{kind}]"
    if kind not in given:
        raise missing(where)
    subscription = world.get("subscription", given[kind]["subscription"], f"{where}[subscription]")
    if subscription["customer"] != customer["id"]:
        text = f"The subscription `{subscription['id']}` does not belong to the customer `{customer['id']}`."
        raise StripeError(text, param=f"{where}[subscription]")
    ending = subscription["cancel_at"] is not None and kind == "subscription_cancel"
    if subscription["status"] in (*subscribing.ENDED, "incomplete") or ending:
        state = "already set to be canceled" if ending else subscription["status"]
        text = f"The subscription `{subscription['id']}` cannot be changed in this flow because it is {state}."
        raise StripeError(text, param=f"{where}[subscription]")
    if kind == "subscription_cancel":
        return {"retention": None, "subscription": subscription["id"]}
    if kind in ("subscription_pause", "subscription_update"):
        return {"subscription": subscription["id"]}
    return {
        "discounts": None,
        "items": [
            _item(world, subscription, item, f"{where}[items][{i}]") for i, item in enumerate(given[kind]["items"])
        ],
        "subscription": subscription["id"],
    }


def _item(world: World, subscription: Document, given: dict[str, Any], where: str) -> dict[str, Any]:
    item = world.get("subscription_item", given["id"], f"{where}[id]")
    if item["subscription"] != subscription["id"]:
        text = f"The item `{item['id']}` does not belong to the subscription `{subscription['id']}`."
        raise StripeError(text, param=f"{where}[id]")
    price = world.get("price", given.get("price", item["price"]), f"{where}[price]")
    return {"id": item["id"], "price": price["id"], "quantity": given.get("quantity", item["quantity"])}


def _after(given: dict[str, Any]) -> dict[str, Any]:
    """What follows when the flow is completed; the portal's first page unless told otherwise."""
    kind = given.get("type", "portal_homepage")
    if kind == "redirect" and "redirect" not in given:
        raise missing("flow_data[after_completion][redirect]")
    confirmation = given.get("hosted_confirmation", {}) if kind == "hosted_confirmation" else None
    return {
        "hosted_confirmation": None if confirmation is None else {"custom_message": confirmation.get("custom_message")},
        "redirect": given.get("redirect") if kind == "redirect" else None,
        "type": kind,
    }
