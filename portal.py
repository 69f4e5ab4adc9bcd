"""Stripe's customer portal, as far as our own pages leave it something to do."""

from __future__ import annotations

from typing import Any

from flask import current_app, url_for

import billing
import operations

MARK = {"shop": "account"}  # how our configuration is found again

# Not the plan: changing it there would go past the quote. Not the e-mail: a new one is confirmed here first.
FEATURES: dict[str, Any] = {
    "customer_update": {"enabled": True, "allowed_updates": ["name", "address", "tax_id"]},
    "invoice_history": {"enabled": True},
    "payment_method_update": {"enabled": True},
    "subscription_cancel": {"enabled": True, "mode": "at_period_end"},
    "subscription_update": {"enabled": False},
}


def open_session(customer_id: str) -> str:
    """The address of the portal for this customer, good for one visit."""
    configuration = _ours() or _create()
    return_url = url_for("account.settings", _external=True)
    return str(billing.create_portal_session(customer_id, configuration["id"], return_url).object["url"])


def bring_in_line() -> str | None:
    """Make the portal's configuration what it should be. Returns what was done, in words, if anything was."""
    there = _ours()
    if there is None:
        return f"created portal configuration {_create()['id']}"
    if _says(there["features"], FEATURES):
        return None
    billing.update_portal_configuration(there["id"], {"features": FEATURES})
    return f"updated portal configuration {there['id']}"


def _ours() -> dict[str, Any] | None:
    for page in billing.portal_configurations():
        for configuration in page.object["data"]:
            if MARK.items() <= configuration["metadata"].items():
                return dict(configuration)
    return None


def _create() -> dict[str, Any]:
    """Make it once, though an answer be lost."""
    values = {
        "features": FEATURES,
        "metadata": MARK,
        "business_profile": {"headline": current_app.config["SHOP_NAME"]},
    }
    operation = operations.begin("create_portal", "account", values)
    try:
        answer = billing.create_portal_configuration(operation.params, operation.id)
    except billing.Refused as error:
        operations.end(operation.id, "failed", str(error))
        raise
    operations.end(operation.id, "done")
    return answer.object


def _says(there: Any, wanted: Any) -> bool:
    """Whether all that is wanted is there, whatever else there may be."""
    if isinstance(wanted, dict):
        return all(_says(there.get(name), value) for name, value in wanted.items())
    return bool(sorted(there) == sorted(wanted) if isinstance(wanted, list) else there == wanted)
