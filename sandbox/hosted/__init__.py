"""Pages that Stripe hosts for whoever holds their link: an invoice, to be looked at, paid and printed."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, abort, redirect, render_template, request

from sandbox.api import PUBLISHABLE_KEY
from sandbox.billing import intents
from sandbox.browser import TRAIN
from sandbox.errors import StripeError
from sandbox.hosted import showing
from sandbox.portal.visits import protect
from sandbox.resources import account, invoice_links, invoice_verbs, payment_intents
from sandbox.server import page_transaction
from sandbox.store import Document
from sandbox.world import World

hosted = Blueprint(
    "hosted", __name__, url_prefix="/i", template_folder="templates", static_folder="static", static_url_path="/static"
)
hosted.after_request(protect)


@hosted.get("/<account_id>/<token>")
def show(account_id: str, token: str) -> Any:
    """The invoice, with what it takes to pay it while it is open."""
    with page_transaction() as world:
        return _page(world, _invoice(world, token), token)


@hosted.get("/<account_id>/<token>/pdf")
def pdf(account_id: str, token: str) -> Response:
    with page_transaction() as world:
        invoice = _invoice(world, token)
        name = f"Invoice-{invoice['number']}.pdf"
        headers = {"Content-Disposition": f'inline; filename="{name}"'}
        return Response(showing.pdf(world, invoice), mimetype="application/pdf", headers=headers)


@hosted.post("/<account_id>/<token>/pay")
def pay(account_id: str, token: str) -> Any:
    """Charge one of the customer's saved methods. The link is the leave to do so; another site does not know it."""
    with page_transaction() as world:
        invoice = _invoice(world, token)
        params = {"payment_method": request.form.get("payment_method", ""), "off_session": False}
        try:
            invoice_verbs.pay(world, params, invoice["id"])
        except StripeError as error:
            if error.code == "invoice_payment_intent_requires_action":
                return _page(world, invoice, token, act=True)
            return _page(world, invoice, token, problem=error.message), 402
    return redirect(f"/i/{account_id}/{token}", 303)


def _invoice(world: World, token: str) -> Document:
    invoice = invoice_links.invoice_of(world, token)
    if invoice is None:
        abort(404)
    return invoice


def _page(world: World, invoice: Document, token: str, problem: str | None = None, act: bool = False) -> str:
    intent = world.find(invoice["payment_intent"], "payment_intent")
    open_intent = intent if invoice["status"] in ("open", "uncollectible") and intent else None
    payable = open_intent is not None and open_intent["status"] in intents.CONFIRMABLE
    saved = world.select("payment_method", "customer = ?", (invoice["customer"],)) if payable else []
    kinds = payment_intents.method_types(open_intent) if open_intent else []
    return render_template(
        "hosted/invoice.html",
        account_name=account.NAME,
        act=act,
        base=f"/i/{world.account}/{token}",
        invoice=showing.invoice(world, invoice),
        key=PUBLISHABLE_KEY,
        payable=payable,
        problem=problem,
        processing=open_intent is not None and open_intent["status"] == "processing",
        saved=[showing.method(world, method) for method in saved if method["type"] in kinds],
        secret=open_intent["client_secret"] if open_intent else "",
        train=TRAIN,
    )
