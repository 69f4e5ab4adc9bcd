"""Every call that asks Stripe or changes something there. The only module that imports stripe.

Functions take and return plain values: an `Answer` holds Stripe's JSON as it was sent. They know no request and no
session, and refuse to run while a database write is open.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any, cast

import stripe
from flask import Flask, current_app
from stripe import params as params  # its types are part of this module's face

import db
import pace
import turns

API_VERSION = stripe.api_version  # the SDK's own; its train is the one of Stripe.js
TRAIN = API_VERSION.rpartition(".")[2]
SIGNATURE_TOLERANCE = 300  # seconds, by the wall clock
QUICK = 5  # seconds that a question inside a webhook delivery may take
PAGE = 100


class BillingError(Exception):
    """Stripe could not do what was asked. `message` may be shown; `status` is what our own answer should be."""

    status = 502
    code = "billing_error"
    message = "The payment provider could not do this. Please try again."

    def __init__(self, message: str | None = None, *, code: str | None = None, request_id: str | None = None) -> None:
        self.message = message or self.message
        self.code = code or self.code
        self.request_id = request_id
        self.retry_after: int | None = None
        super().__init__(f"{self.code}: {self.message} [{request_id or 'no request id'}]")


class Unavailable(BillingError):
    """No answer, or none that tells whether it happened: ask again with the same idempotency key."""

    status = 503
    code = "billing_unavailable"
    message = "The payment provider does not answer at the moment. Nothing is lost: please try again in a minute."


class Busy(Unavailable):
    """429: Stripe did not begin; nothing happened."""

    code = "billing_busy"


class Refused(BillingError):
    """A definite no: nothing happened at Stripe."""

    status = 409
    code = "billing_refused"
    message = "The payment provider refused this request."

    def __init__(
        self, message: str | None = None, *, stripe_code: str | None = None, param: str | None = None, **more: Any
    ):
        self.stripe_code, self.param = stripe_code, param
        super().__init__(message, **more)


class Missing(Refused):
    """Stripe knows no such object."""

    status = 404
    code = "not_found"
    message = "The payment provider does not know this."


class CardDeclined(Refused):
    """402; `message` is Stripe's, meant for the cardholder."""

    status = 402
    code = "card_declined"


class InvalidSignature(Exception):
    """A webhook body that none of our secrets signed, or too long ago."""


@dataclass(frozen=True)
class Answer:
    """What Stripe said, and when: `date` is the answer's own (Unix seconds), `took` the seconds it was on its way.

    `replayed`: a repeated key brought back what was answered then, which may be long out of date.
    """

    object: dict[str, Any]
    date: int
    took: int
    request_id: str | None
    replayed: bool = False


def init_app(app: Flask) -> None:
    """Keep two clients: one that retries, and one for questions that something waits for."""
    app.extensions["shop.stripe"] = {
        False: make_client(
            app.config["STRIPE_SECRET_KEY"], app.config["STRIPE_API_BASE"], app.config["STRIPE_TIMEOUT"], 2
        ),
        True: make_client(app.config["STRIPE_SECRET_KEY"], app.config["STRIPE_API_BASE"], QUICK, 0),
    }


def make_client(key: str, api_base: str, timeout: int, retries: int) -> stripe.StripeClient:
    return stripe.StripeClient(
        key,
        base_addresses={"api": api_base},
        max_network_retries=retries,
        http_client=stripe.RequestsClient(timeout=timeout),
    )


# ---------------------------------------------------------------------------------------------------------------------
# Asking


def ask(call: Callable[[stripe.V1Services], Any], *, quick: bool = False) -> Answer:
    """Make one call and return its answer. Raises BillingError's children, never Stripe's own."""
    pacer = pace.current()
    client: stripe.StripeClient = current_app.extensions["shop.stripe"][quick]
    once = functools.partial(_ask_once, call, client)
    return pacer.call(once, Busy) if pacer else once()


def _ask_once(call: Callable[[stripe.V1Services], Any], client: stripe.StripeClient) -> Answer:
    assert not db.writing(), "no call to Stripe while a write is open"
    started = time.monotonic()
    try:
        with turns.given_up():
            response = call(client.v1).last_response
    except stripe.StripeError as error:
        raise translated(error) from error
    return Answer(
        object=cast(dict[str, Any], response.data),
        date=int(parsedate_to_datetime(response.headers["Date"]).timestamp()),
        took=math.ceil(time.monotonic() - started),
        request_id=response.request_id,
        replayed=response.headers.get("Idempotent-Replayed") == "true",
    )


def translated(error: stripe.StripeError) -> BillingError:
    """Stripe's exception as ours; the request id is kept, the raw body is not."""
    status, request_id = error.http_status or 0, error.request_id
    current_app.logger.warning(
        "stripe: %s status=%s code=%s request=%s", type(error).__name__, status, error.code, request_id
    )
    if isinstance(error, stripe.CardError):
        return CardDeclined(error.user_message, stripe_code=error.code, request_id=request_id)
    if status == 429:
        busy = Busy(request_id=request_id)
        after = (error.headers or {}).get("Retry-After", "")
        busy.retry_after = int(after) if after.isdigit() else 5
        return busy
    if error.code == "resource_missing" or status == 404:
        return Missing(stripe_code=error.code, param=getattr(error, "param", None), request_id=request_id)
    if status in (400, 402, 403):
        # The text is written for developers, and may name ids: it is logged, not shown.
        current_app.logger.warning("stripe refused: %s", error.user_message)
        return Refused(stripe_code=error.code, param=getattr(error, "param", None), request_id=request_id)
    if status == 401:
        current_app.logger.error("stripe does not accept STRIPE_SECRET_KEY")
    return Unavailable(request_id=request_id)


def pages(call: Callable[[stripe.V1Services, Any], Any], **filters: Any) -> Iterator[Answer]:
    """Every page of a list, each with its own date."""
    wanted = {"limit": PAGE, **filters}
    while True:
        answer = ask(functools.partial(_list, call, wanted))
        yield answer
        if not answer.object["has_more"]:
            return
        wanted = {**wanted, "starting_after": answer.object["data"][-1]["id"]}


def _list(call: Callable[[stripe.V1Services, Any], Any], wanted: dict[str, Any], v1: stripe.V1Services) -> Any:
    return call(v1, wanted)


# ---------------------------------------------------------------------------------------------------------------------
# What is there

SUBSCRIPTION_EXPAND = ["latest_invoice.confirmation_secret", "pending_setup_intent", "default_payment_method"]


def retrieve(kind: str, id: str, *, quick: bool = False) -> Answer:
    """One object by its kind ("subscription", "invoice", ...) and id. Raises Missing."""
    calls: dict[str, Callable[[stripe.V1Services], Any]] = {
        "customer": lambda v1: v1.customers.retrieve(id),
        "subscription": lambda v1: v1.subscriptions.retrieve(id),
        "invoice": lambda v1: v1.invoices.retrieve(id),
        "payment_method": lambda v1: v1.payment_methods.retrieve(id),
        "product": lambda v1: v1.products.retrieve(id),
        "price": lambda v1: v1.prices.retrieve(id, {"expand": ["currency_options"]}),
        "subscription_schedule": lambda v1: v1.subscription_schedules.retrieve(id),
        "tax_id": lambda v1: v1.tax_ids.retrieve(id),
        "charge": lambda v1: v1.charges.retrieve(id),
    }
    if kind == ENTITLEMENTS:
        return entitlements_of(id, quick=quick)
    answer = ask(calls[kind], quick=quick)
    if kind == "subscription" and answer.object["items"]["has_more"]:
        items = pages(lambda v1, wanted: v1.subscription_items.list(wanted), subscription=id)
        answer.object["items"]["data"] = []
        answer = completed(answer, "items", items)
    return answer


def completed(answer: Answer, part: str, further: Iterator[Answer]) -> Answer:
    """The answer with all of a list; true at some moment between the first question and the last page."""
    for page in further:
        answer.object[part]["data"] += page.object["data"]
        date = max(answer.date, page.date)
        answer = replace(answer, date=date, took=date - answer.date + answer.took)
    return answer


ENTITLEMENTS = "entitlements.active_entitlement_summary"


def has_features() -> bool:
    """Whether the account has features at all, without which nobody is entitled to any."""
    try:
        return bool(ask(lambda v1: v1.entitlements.features.list({"limit": 1})).object["data"])
    except Missing:
        return False


def entitlements_of(customer_id: str, *, quick: bool = False) -> Answer:
    """What a customer may use, in the shape of the summary that events carry."""
    answer = ask(
        lambda v1: v1.entitlements.active_entitlements.list({"customer": customer_id, "limit": PAGE}), quick=quick
    )
    summary = {"object": ENTITLEMENTS, "customer": customer_id, "entitlements": answer.object}
    answer = replace(answer, object=summary)
    if not answer.object["entitlements"]["has_more"]:
        return answer
    shown = answer.object["entitlements"]["data"]
    further = pages(
        lambda v1, wanted: v1.entitlements.active_entitlements.list(wanted),
        customer=customer_id,
        starting_after=shown[-1]["id"],
    )
    return completed(answer, "entitlements", further)


def retrieve_checkout(subscription_id: str) -> Answer:
    """A subscription with all that is needed to pay for it."""
    return ask(lambda v1: v1.subscriptions.retrieve(subscription_id, {"expand": SUBSCRIPTION_EXPAND}))


CHANGE_EXPAND = [
    "latest_invoice.confirmation_secret",
    "default_payment_method",
    "customer.invoice_settings.default_payment_method",
    "schedule",
]


def retrieve_to_change(subscription_id: str) -> Answer:
    """A subscription with all that decides whether and how its plan can be changed."""
    return ask(lambda v1: v1.subscriptions.retrieve(subscription_id, {"expand": CHANGE_EXPAND}))


def preview_invoice(values: params.InvoiceCreatePreviewParams) -> Answer:
    """The invoice that a change would make. Changes nothing."""
    return ask(lambda v1: v1.invoices.create_preview(values))


def retrieve_setup_intent(id: str) -> Answer:
    return ask(lambda v1: v1.setup_intents.retrieve(id))


def retrieve_to_pay(invoice_id: str) -> Answer:
    """An invoice with the secret that a browser needs to pay it."""
    return ask(lambda v1: v1.invoices.retrieve(invoice_id, {"expand": ["confirmation_secret"]}))


def invoice_intent(invoice_id: str) -> dict[str, Any] | None:
    """The payment intent behind an invoice, or None where there is nothing to pay."""
    answer = ask(
        lambda v1: v1.invoice_payments.list({"invoice": invoice_id, "expand": ["data.payment.payment_intent"]})
    )
    for payment in answer.object["data"]:
        intent = payment["payment"].get("payment_intent")
        if payment["is_default"] and isinstance(intent, dict):
            return intent
    return None


def subscriptions_of(customer_id: str) -> Iterator[Answer]:
    """Pages of all subscriptions of a customer, ended ones too."""
    return pages(
        lambda v1, wanted: v1.subscriptions.list(wanted),
        customer=customer_id,
        status="all",
        expand=["data.latest_invoice", "data.default_payment_method"],
    )


def invoices_of(customer_id: str) -> Iterator[Answer]:
    return pages(lambda v1, wanted: v1.invoices.list(wanted), customer=customer_id)


def tax_ids_of(customer_id: str) -> Iterator[Answer]:
    return pages(lambda v1, wanted: v1.customers.tax_ids.list(customer_id, wanted))


def payment_methods_of(customer_id: str) -> Iterator[Answer]:
    return pages(lambda v1, wanted: v1.customers.payment_methods.list(customer_id, wanted))


def find_customer(email: str, user_id: int) -> Answer | None:
    """The customer that was made for one of our users, should its answer have got lost."""
    for page in pages(lambda v1, wanted: v1.customers.list(wanted), email=email):
        for customer in page.object["data"]:
            if customer["metadata"].get("user_id") == str(user_id):
                return replace(page, object=customer)
    return None


def account() -> Answer:
    """The account that the key belongs to."""
    return ask(lambda v1: v1.accounts.retrieve_current())


def ask_as_browser(intent: dict[str, Any]) -> Answer:
    """Ask for a payment intent as a page does. Raises Missing when the publishable key is another account's."""
    config = current_app.config
    client = make_client(config["STRIPE_PUBLISHABLE_KEY"], config["STRIPE_API_BASE"], QUICK, 0)
    secret = intent["client_secret"]
    return _ask_once(lambda v1: v1.payment_intents.retrieve(intent["id"], {"client_secret": secret}), client)


# Lists over everybody, a page at a time, newest first.


def payment_intents(**filters: Any) -> Iterator[Answer]:
    return pages(lambda v1, wanted: v1.payment_intents.list(wanted), **filters)


def customers(**filters: Any) -> Iterator[Answer]:
    return pages(lambda v1, wanted: v1.customers.list(wanted), **filters)


def subscriptions(**filters: Any) -> Iterator[Answer]:
    """Ended ones too."""
    return pages(lambda v1, wanted: v1.subscriptions.list(wanted), status="all", **filters)


def invoices(**filters: Any) -> Iterator[Answer]:
    return pages(lambda v1, wanted: v1.invoices.list(wanted), **filters)


def events(**filters: Any) -> Iterator[Answer]:
    """Events of the last 30 days."""
    return pages(lambda v1, wanted: v1.events.list(wanted), **filters)


def event(id: str) -> Answer:
    """One event of the last 30 days. Raises Missing."""
    return ask(lambda v1: v1.events.retrieve(id))


# ---------------------------------------------------------------------------------------------------------------------
# Changes. `key` is a stored operation id: the same key and parameters never happen twice.


def create_customer(values: params.CustomerCreateParams, key: str) -> Answer:
    return ask(lambda v1: v1.customers.create(values, {"idempotency_key": key}))


def update_customer(customer_id: str, values: params.CustomerUpdateParams, key: str) -> Answer:
    return ask(lambda v1: v1.customers.update(customer_id, values, {"idempotency_key": key}))


def create_subscription(values: params.SubscriptionCreateParams, key: str) -> Answer:
    return ask(lambda v1: v1.subscriptions.create(values, {"idempotency_key": key}))


def update_subscription(subscription_id: str, values: params.SubscriptionUpdateParams, key: str) -> Answer:
    return ask(lambda v1: v1.subscriptions.update(subscription_id, values, {"idempotency_key": key}))


def cancel_subscription(subscription_id: str, values: params.SubscriptionCancelParams | None = None) -> Answer:
    """End it now. A DELETE, which is idempotent by nature: it takes no key."""
    return ask(lambda v1: v1.subscriptions.cancel(subscription_id, values or {}))


def create_setup_intent(values: params.SetupIntentCreateParams, key: str) -> Answer:
    return ask(lambda v1: v1.setup_intents.create(values, {"idempotency_key": key}))


def delete_customer(customer_id: str) -> Answer:
    """Their cards are forgotten and what runs ends; invoices and payments stay. Takes no key, as any DELETE."""
    return ask(lambda v1: v1.customers.delete(customer_id))


def create_tax_id(customer_id: str, values: params.CustomerTaxIdCreateParams, key: str) -> Answer:
    return ask(lambda v1: v1.customers.tax_ids.create(customer_id, values, {"idempotency_key": key}))


def delete_tax_id(customer_id: str, id: str) -> Answer:
    return ask(lambda v1: v1.customers.tax_ids.delete(customer_id, id))


def portal_configurations() -> Iterator[Answer]:
    return pages(lambda v1, wanted: v1.billing_portal.configurations.list(wanted), active=True)


def create_portal_configuration(values: Any, key: str) -> Answer:
    return ask(lambda v1: v1.billing_portal.configurations.create(values, {"idempotency_key": key}))


def update_portal_configuration(id: str, values: Any) -> Answer:
    return ask(lambda v1: v1.billing_portal.configurations.update(id, values))


def create_portal_session(customer_id: str, configuration: str, return_url: str) -> Answer:
    """A way into the customer portal, for one click: never stored."""
    return ask(
        lambda v1: v1.billing_portal.sessions.create(
            {"customer": customer_id, "configuration": configuration, "return_url": return_url}
        )
    )


def pay_invoice(invoice_id: str, values: params.InvoicePayParams, key: str) -> Answer:
    """Try to collect an open invoice now. Raises CardDeclined, also when the bank wants to ask the cardholder."""
    return ask(lambda v1: v1.invoices.pay(invoice_id, values, {"idempotency_key": key}))


def void_invoice(invoice_id: str, key: str) -> Answer:
    return ask(lambda v1: v1.invoices.void_invoice(invoice_id, {}, {"idempotency_key": key}))


def create_schedule(values: params.SubscriptionScheduleCreateParams, key: str) -> Answer:
    return ask(lambda v1: v1.subscription_schedules.create(values, {"idempotency_key": key}))


def update_schedule(schedule_id: str, values: params.SubscriptionScheduleUpdateParams, key: str) -> Answer:
    return ask(lambda v1: v1.subscription_schedules.update(schedule_id, values, {"idempotency_key": key}))


def release_schedule(schedule_id: str, key: str) -> Answer:
    """The subscription goes on as it is, without the changes that were to come."""
    return ask(lambda v1: v1.subscription_schedules.release(schedule_id, {}, {"idempotency_key": key}))


def refund(payment_intent_id: str, key: str, amount: int | None = None) -> Answer:
    """Give back all of a payment, or `amount` of it in the currency's smallest unit."""
    values: params.RefundCreateParams = {"payment_intent": payment_intent_id, "reason": "requested_by_customer"}
    if amount is not None:
        values["amount"] = amount
    return ask(lambda v1: v1.refunds.create(values, {"idempotency_key": key}))


# ---------------------------------------------------------------------------------------------------------------------
# Catalogue


def products(**filters: Any) -> Iterator[Answer]:
    return pages(lambda v1, wanted: v1.products.list(wanted), **filters)


def prices(**filters: Any) -> Iterator[Answer]:
    return pages(lambda v1, wanted: v1.prices.list(wanted), expand=["data.currency_options"], **filters)


def create_product(values: params.ProductCreateParams, key: str) -> Answer:
    return ask(lambda v1: v1.products.create(values, {"idempotency_key": key}))


def update_product(product_id: str, values: params.ProductUpdateParams) -> Answer:
    return ask(lambda v1: v1.products.update(product_id, values))


def create_price(values: params.PriceCreateParams, key: str) -> Answer:
    return ask(lambda v1: v1.prices.create(values, {"idempotency_key": key}))


def retire_price(price_id: str) -> Answer:
    """Nobody can subscribe to it any more; who did keeps paying it."""
    return ask(lambda v1: v1.prices.update(price_id, {"active": False, "expand": ["currency_options"]}))


# ---------------------------------------------------------------------------------------------------------------------
# Webhooks


def webhook_endpoints() -> Iterator[Answer]:
    return pages(lambda v1, wanted: v1.webhook_endpoints.list(wanted))


def create_webhook_endpoint(values: params.WebhookEndpointCreateParams, key: str) -> Answer:
    """Only this answer holds the signing secret."""
    return ask(lambda v1: v1.webhook_endpoints.create(values, {"idempotency_key": key}))


def update_webhook_endpoint(id: str, values: params.WebhookEndpointUpdateParams) -> Answer:
    return ask(lambda v1: v1.webhook_endpoints.update(id, values))


def sign(body: bytes, secret: str) -> str:
    """The Stripe-Signature header that Stripe would send with these bytes now."""
    return str(stripe.WebhookSignature.generate_signature_header(body.decode(), secret, int(time.time())))


def verify_webhook(body: bytes, header: str, secrets: list[str]) -> None:
    """Check that Stripe signed these bytes with one of our secrets, at most 300 s ago. Raises InvalidSignature."""
    for secret in secrets:
        try:
            # Not construct_event: building its object tree costs 25 times the check.
            stripe.WebhookSignature.verify_header(body.decode(), header, secret, SIGNATURE_TOLERANCE)
            return
        except Exception:  # noqa: S112 - odd headers and bytes raise all kinds of things; each means "not this one"
            continue
    raise InvalidSignature
