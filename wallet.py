"""The payment method that renewals are charged to, and paying what is open: two pages, and the JSON behind them."""

from __future__ import annotations

from typing import Any, cast

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_security import current_user

import owed
import payments
import readings
from auth import customer_required, limit_payments, limit_questions
from errors import Bool, Problem, Str, json_fields, json_route
from models import User

wallet = Blueprint("wallet", __name__)


def user() -> User:
    return cast(User, current_user._get_current_object())


@wallet.app_context_processor
def banner() -> dict[str, Any]:
    """For every page; asked for only where somebody is signed in."""
    return {"payment_banner": lambda: owed.banner(current_user.id)}


# ---------------------------------------------------------------------------------------------------------------------
# The payment method


@wallet.get("/payment-method")
@customer_required
def method() -> str:
    """The page with the Payment Element to replace it."""
    return render_template("account/replace_method.html", account=readings.account_view(user()))


@wallet.post("/create-setup-intent")
@customer_required
@limit_payments
@json_route
def create_setup_intent() -> dict[str, Any]:
    """Begin to replace the payment method; the browser sets it up with the secret in the answer."""
    json_fields()
    return {"clientSecret": payments.begin_replacement(user())}


@wallet.post("/payment-method")
@customer_required
@limit_questions
@json_route
def replace_method() -> dict[str, Any]:
    """Put a method that was set up to use; an open invoice can be paid with it next."""
    status = payments.finish_replacement(user(), json_fields(setupIntentId=Str())["setupIntentId"])
    account = readings.account_view(user())
    invoice_id = owed.oldest(user().id)
    return {
        "status": status,
        "paymentMethod": account.payment_method["text"] if account.payment_method else None,
        "payUrl": url_for("wallet.pay", invoice_id=invoice_id) if invoice_id else None,
    }


# ---------------------------------------------------------------------------------------------------------------------
# What is open


@wallet.get("/pay")
@customer_required
def pay_first() -> ResponseReturnValue:
    """To what must be paid first, if anything."""
    invoice_id = owed.oldest(user().id)
    return redirect(url_for("wallet.pay", invoice_id=invoice_id) if invoice_id else url_for("account.settings"))


@wallet.get("/pay/<invoice_id>")
@customer_required
def pay(invoice_id: str) -> str:
    """One invoice, to pay with the saved method or another one."""
    invoice = owed.invoice_of(user().id, invoice_id)
    if invoice is None:
        raise Problem(404, "not_found", "There is no such invoice.")
    return render_template("account/pay.html", account=readings.account_view(user()), invoice=invoice)


@wallet.post("/pay-invoice")
@customer_required
@limit_payments
@json_route
def pay_invoice() -> dict[str, Any]:
    """Pay an open invoice with the saved method, or begin to pay it with another one."""
    fields = json_fields(invoiceId=Str(), savedMethod=Bool(default=True))
    payment = payments.pay(user(), fields["invoiceId"], saved_method=fields["savedMethod"])
    told = {"status": payment.status, "clientSecret": payment.client_secret, "message": payment.message}
    return {name: value for name, value in told.items() if value is not None}
