"""The portal's pages that change nothing."""

from typing import Any

from flask import redirect, request

from sandbox.api import PUBLISHABLE_KEY
from sandbox.browser import TRAIN
from sandbox.portal import showing
from sandbox.portal.visits import Visit, portal, visited
from sandbox.resources import setup_intents

FLOW_PAGES = {
    "customer_update": "customer/update",
    "payment_method_update": "payment-methods",
    "subscription_cancel": "subscriptions/{}/cancel",
    "subscription_pause": "subscriptions/{}/pause",
    "subscription_update": "subscriptions/{}/update",
    "subscription_update_confirm": "subscriptions/{}/confirm",
}


@portal.get("/session/<token>")
@visited
def home(visit: Visit) -> Any:
    """Plans, payment methods, details and invoices, as far as the configuration shows them."""
    return visit.page(
        "home",
        done=showing.DONE.get(request.args.get("done", "")),
        invoices=showing.invoices(visit.world, visit.customer),
        methods=showing.methods(visit.world, visit.customer),
        subscriptions=showing.subscriptions(visit.world, visit.customer),
        tax_ids=visit.world.select("tax_id", "customer = ?", (visit.customer["id"],)),
    )


@portal.get("/session/<token>/flow")
@visited
def flow(visit: Visit) -> Any:
    """To the one page that the session was made for."""
    asked = visit.session["flow"]
    if asked is None:
        return redirect(visit.base)
    about = asked.get(asked["type"]) or {}
    return redirect(f"{visit.base}/{FLOW_PAGES[asked['type']].format(about.get('subscription'))}")


@portal.get("/session/<token>/payment-methods")
@visited
def new_method(visit: Visit) -> Any:
    """The Payment Element, on a setup intent of its own."""
    visit.need("payment_method_update")
    intent = setup_intents.create(visit.world, {"customer": visit.customer["id"], "usage": "off_session"})
    return visit.page("method", key=PUBLISHABLE_KEY, secret=intent["client_secret"], train=TRAIN)
