"""How a customer of a test falls behind with paying."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import requests
import stripe

from tests.shop import RunningShop, pay
from tests.stripe_objects import event

REFUSED, ASKS = "pm_card_chargeCustomerFail", "pm_card_authenticationRequired"


def subscriber(
    shop: RunningShop, lookup_key: str = "premium_monthly", email: str = "alice@example.com", **fields: Any
) -> Any:
    """A member who has paid with Visa 4242; `subscription` and `customer` are their ids."""
    member: Any = shop.member(email)
    attempt = member.subscribe(lookup_key, **fields)
    pay(shop.sandbox, attempt["clientSecret"])
    shop.settle()
    member.subscription = attempt["subscriptionId"]
    member.customer = shop.sandbox.client.v1.subscriptions.retrieve(member.subscription).customer
    return member


def charge_to(shop: RunningShop, member: Any, token: str) -> None:
    """Renewals are charged to another card from now on."""
    v1 = shop.sandbox.client.v1
    method = v1.payment_methods.attach(token, {"customer": member.customer})
    v1.subscriptions.update(member.subscription, {"default_payment_method": method.id})
    shop.settle()


def fall_behind(shop: RunningShop, member: Any, token: str = REFUSED) -> str:
    """Let the next renewal fail. Returns the invoice's id."""
    charge_to(shop, member, token)
    end = shop.sandbox.client.v1.subscriptions.retrieve(member.subscription)["items"].data[0].current_period_end
    shop.sandbox.advance_to(end + 2 * 3600)
    shop.settle()
    return str(shop.sandbox.client.v1.subscriptions.retrieve(member.subscription).latest_invoice)


def complete_challenge(shop: RunningShop, client_secret: str, outcome: str = "complete") -> None:
    """Answer the bank's question about a payment."""
    intent = shop.sandbox.client.v1.payment_intents.retrieve(client_secret.split("_secret_")[0]).to_dict()
    source = intent["next_action"]["use_stripe_sdk"]["three_d_secure_2_source"]
    answer = requests.post(
        f"{shop.sandbox.url}/v1/3ds2/authenticate",
        data={"key": "pk_test_sandbox", "source": source, "outcome": outcome},
        timeout=30,
    )
    assert answer.status_code == 200, answer.text


def tell(shop: RunningShop, obj: dict[str, Any], kind: str, *, created: int) -> None:
    """Deliver an event that the sandbox has no way to make, signed as Stripe's are."""
    body = json.dumps(event(obj, kind, created=created, id=f"evt_{uuid.uuid4().hex}"))
    secret = shop.app.config["STRIPE_WEBHOOK_SECRET"][0]
    header = stripe.WebhookSignature.generate_signature_header(body, secret, int(time.time()))
    answer = requests.post(f"{shop.url}/webhook", data=body, headers={"Stripe-Signature": header}, timeout=30)
    assert answer.status_code == 200, answer.text
