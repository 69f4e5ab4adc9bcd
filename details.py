"""Pages for what belongs to a person: billing details, a copy of their data, the portal, and the end of the account."""

from __future__ import annotations

import functools
import json
from typing import Any, cast

from babel import Locale
from flask import Blueprint, Response, flash, render_template, session
from flask_login import logout_user
from flask_security import current_user

import export
import personal
import portal
import readings
import subscriptions
from auth import customer_required, limit_payments, limit_questions
from errors import Object, Problem, Str, json_fields, json_route
from models import User

details = Blueprint("details", __name__)

NO_COUNTRIES = "AC CP CQ DG EA EU EZ IC QO TA UN XA XB ZZ".split()  # noqa: SIM905 CLDR names these too


def user() -> User:
    return cast(User, current_user._get_current_object())


@functools.cache
def countries() -> dict[str, str]:
    """Country codes and names, by name."""
    names = Locale("en").territories
    found = {code: name for code, name in names.items() if len(code) == 2 and code not in NO_COUNTRIES}
    return dict(sorted(found.items(), key=lambda item: item[1]))


@details.get("/account/details")
@customer_required
def billing_details() -> str:
    """Name, address and tax id on invoices."""
    customer = readings.customer_of(user().id)
    tax_id = personal.tax_id_of(customer.id if customer else None)
    return render_template(
        "account/details.html", customer=customer, tax_id=tax_id, kinds=personal.TAX_IDS, countries=countries()
    )


@details.post("/billing-details")
@customer_required
@limit_questions
@json_route
def save_details() -> dict[str, Any]:
    """Make these the details on coming invoices; what is left out is cleared."""
    parts = {part: Str(default=None) for part in personal.ADDRESS} | {
        "country": Str(default=None, choices=tuple(countries()))
    }
    fields = json_fields(
        name=Str(default=None),
        address=Object(default=None, **parts),
        taxId=Object(default=None, type=Str(64), value=Str(64)),
    )
    personal.save_details(user(), fields["name"], fields["address"], fields["taxId"])
    flash("Saved. Coming invoices carry these details.", "info")
    return {"status": "saved"}


@details.get("/account/export")
@customer_required
@limit_questions
def download() -> Response:
    """All that the shop keeps of a person, as a file."""
    body = json.dumps(export.everything_of(user()), indent=2, ensure_ascii=False)
    headers = {"Content-Disposition": 'attachment; filename="my-data.json"'}
    return Response(body, mimetype="application/json", headers=headers)


@details.post("/create-portal-session")
@customer_required
@limit_payments
@json_route
def create_portal_session() -> dict[str, Any]:
    """A way into Stripe's customer portal."""
    json_fields()
    return {"url": portal.open_session(subscriptions.ensure_customer(user()).id)}


@details.get("/account/delete")
@customer_required
def end() -> str:
    """What deleting the account does, and what it keeps."""
    return render_template("account/delete.html", account=readings.account_view(user()))


@details.post("/delete-account")
@customer_required
@json_route
def delete_account() -> dict[str, Any]:
    """Delete the account; its password says that it is its owner who asks."""
    password = json_fields(password=Str(2000))["password"]
    if not user().verify_and_update_password(password):
        raise Problem(400, "wrong_password", "That is not your password.", field="password")
    personal.delete(user())
    logout_user()
    session.clear()
    flash("Your account is deleted.", "info")
    return {"status": "deleted"}
