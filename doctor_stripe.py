"""What `flask doctor` can only learn from Stripe; it asks to read alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import requests
import sqlalchemy as sa
from flask import current_app

import billing
import catalog
import clock
import config
import db
import sync
from findings import KEYS_PAGE, LISTEN, OK, WARNING, WRONG, Finding, Findings, webhook_url
from models import Price, StripeAccount, WebhookEvent
from webhooks import HANDLERS

SLOW = 60  # seconds that an event may be on its way
CLOCK_OFF = 120  # seconds that this machine's clock may be wrong; 300 and every signature is too old
LOOKED_AT = 20  # of the newest events


def ask_stripe(has_tables: bool) -> Findings:
    """What only Stripe can tell; without an account there is nothing more to ask."""
    try:
        account = billing.account()
    except billing.BillingError as error:
        yield not_answered(error)
        return
    yield from key(account, has_tables)
    checks: list[Callable[[billing.Answer], Findings]] = [time_of_day, publishable_key, endpoints]
    if has_tables:
        checks += [deliveries, catalogue]
    for check in checks:
        try:
            yield from check(account)
        except billing.BillingError as error:
            about = check.__name__.replace("_", " ")
            yield Finding(WRONG, about, f"Stripe does not tell: {words(error)}", "A restricted key needs to read this.")


def not_answered(error: billing.BillingError) -> Finding:
    status = getattr(error.__cause__, "http_status", None)
    if status in (401, 403):
        remedy = f"Copy it anew from {KEYS_PAGE} into STRIPE_SECRET_KEY."
        return Finding(WRONG, "key", f"Stripe does not accept STRIPE_SECRET_KEY: {words(error)}", remedy)
    address = current_app.config["STRIPE_API_BASE"]
    return Finding(WRONG, "stripe", f"No answer from {address}: {words(error)}", "Is this machine on the network?")


def words(error: billing.BillingError) -> str:
    return str(getattr(error.__cause__, "user_message", None) or error.message)


def key(account: billing.Answer, has_tables: bool) -> Findings:
    id, mode = account.object["id"], current_app.config["STRIPE_MODE"]
    yield Finding(OK, "key", f"STRIPE_SECRET_KEY opens the account {id}, {mode} mode.")
    row = db.session.execute(sa.select(StripeAccount.account_id, StripeAccount.mode)).first() if has_tables else None
    if row and (row.account_id, row.mode) != (id, mode):
        yield Finding(
            WRONG,
            "database",
            f"The database belongs to the account {row.account_id} ({row.mode} mode), the key to {id} ({mode} mode).",
            "Use that account's keys again, or give this one a database of its own: set DATABASE_URL.",
        )


def time_of_day(account: billing.Answer) -> Findings:
    ahead = clock.wall() - account.date
    stand_in = current_app.config["STRIPE_API_BASE"] != config.STRIPE_API
    if stand_in and ahead < 0:
        yield Finding(OK, "clock", f"Stripe's stand-in is {-ahead} seconds ahead, as its time can be moved.")
    elif abs(ahead) > CLOCK_OFF:
        way = "ahead of" if ahead > 0 else "behind"
        yield Finding(
            WRONG,
            "clock",
            f"This machine's clock is {abs(ahead)} seconds {way} Stripe's; from 300 on no event's signature is taken.",
            "Have the clock set over the network (timedatectl set-ntp true).",
        )
    else:
        yield Finding(OK, "clock", "This machine's clock agrees with Stripe's.")


def publishable_key(_account: billing.Answer) -> Findings:
    """With a payment intent of the account, as a page would ask for it."""
    intents = next(billing.payment_intents(limit=1)).object["data"]
    nothing = {"id": "pi_none", "client_secret": "pi_none_secret_none"}
    remedy = f"Copy both keys from one page, {KEYS_PAGE}, with the same account and mode chosen."
    try:
        billing.ask_as_browser(intents[0] if intents else nothing)
    except billing.Missing:
        if intents:
            text = "STRIPE_PUBLISHABLE_KEY and STRIPE_SECRET_KEY are of two accounts: nobody can pay."
            yield Finding(WRONG, "key", text, remedy)
            return
    except billing.BillingError as error:
        if getattr(error.__cause__, "http_status", None) != 401:
            raise
        text = "Stripe does not accept STRIPE_PUBLISHABLE_KEY: another account's, another mode's, or withdrawn."
        yield Finding(WRONG, "key", text, remedy)
        return
    if intents:
        yield Finding(OK, "key", "STRIPE_PUBLISHABLE_KEY is of the same account.")
    else:
        text = "Stripe knows STRIPE_PUBLISHABLE_KEY. Whether it is of the same account shows with the first payment."
        yield Finding(OK, "key", text)


def endpoints(_account: billing.Answer) -> Findings:
    there = endpoints_here()
    create = f"`flask webhooks create {webhook_url()}`"
    if not there and is_local():
        yield Finding(OK, "endpoint", f"None for {webhook_url()}: `{LISTEN} {webhook_url()}` brings the events.")
    elif not there:
        yield Finding(WRONG, "endpoint", f"Stripe sends nothing to {webhook_url()}.", f"Run {create}.")
    if len(there) > 1:
        ids = ", ".join(one["id"] for one in there)
        text = f"{ids} all send to {webhook_url()}: each event comes {len(there)} times, with as many secrets."
        yield Finding(WARNING, "endpoint", text, "Delete all but one in the dashboard.")
    for one in there:
        found = list(endpoint(one, create))
        yield from found or [Finding(OK, "endpoint", f"{one['id']} sends what is needed to {webhook_url()}.")]


def endpoint(one: dict[str, Any], create: str) -> Findings:
    if one["status"] != "enabled":
        yield Finding(WRONG, "endpoint", f"{one['id']} is disabled: nothing comes.", f"Run {create} --update.")
    if one["api_version"] and not sync.is_ours(one["api_version"]):
        yield Finding(
            WRONG,
            "api version",
            f"{one['id']} sends events of {one['api_version']}, not {billing.API_VERSION}: each leads to a question.",
            f"Delete it in the dashboard and run {create}.",
        )
    missing = sorted(set(HANDLERS) - set(one["enabled_events"]))
    if missing and "*" not in one["enabled_events"]:
        text = f"{one['id']} does not send {', '.join(missing)}."
        yield Finding(WRONG, "endpoint", text, f"Run {create} --update.")


def endpoints_here() -> list[dict[str, Any]]:
    found = [one for page in billing.webhook_endpoints() for one in page.object["data"]]
    return [one for one in found if one["url"].rstrip("/") == webhook_url()]


def is_local() -> bool:
    return urlsplit(current_app.config["BASE_URL"]).hostname in ("localhost", "127.0.0.1", "::1")


def deliveries(account: billing.Answer) -> Findings:
    """Whether the newest events that Stripe has are in the ledger; if not, where they were lost."""
    newest = next(billing.events()).object["data"]
    due = [one for one in newest if one["type"] in HANDLERS and one["created"] < account.date - SLOW][:LOOKED_AT]
    query = sa.select(WebhookEvent.id).where(WebhookEvent.id.in_([one["id"] for one in due]))
    came = set(db.session.scalars(query))
    lost = list(itertools.takewhile(lambda one: one["id"] not in came, due))
    if not due:
        yield Finding(OK, "events", "Stripe has had no event for us in 30 days.")
    elif not lost:
        yield Finding(OK, "events", f"The newest event that Stripe has for us ({due[0]['id']}) has come.")
    else:
        text = f"The last {len(lost)} events of Stripe's have not come (the newest is {lost[0]['id']})."
        reason, remedy = why_lost()
        yield Finding(WRONG, "events", f"{text} {reason}", f"{remedy} Then `flask sync --since 3d` brings them.")
    between = len(due) - len(lost) - len(came)
    if between:
        text = f"{between} of the last {len(due)} events have not come."
        yield Finding(WARNING, "events", text, "`flask sync --since 3d` brings them.")


def why_lost() -> tuple[str, str]:
    """The reason and its remedy, from what the shop answers to a body that is no event but signed as one."""
    body = b"{}"
    secrets = current_app.config["STRIPE_WEBHOOK_SECRET"]
    header = billing.sign(body, secrets[0] if secrets else "whsec_none")
    try:
        answer = requests.post(webhook_url(), body, headers={"Stripe-Signature": header}, timeout=5)
    except requests.RequestException:
        return f"The shop does not answer at {webhook_url()}.", "Start it, or correct BASE_URL."
    if answer.status_code == 503 or not secrets:
        return "The shop has no STRIPE_WEBHOOK_SECRET.", "Set it, and start the shop again."
    if answer.status_code != 400:
        return f"{webhook_url()} answers {answer.status_code}, as the shop never would.", "Correct BASE_URL."
    if "signature" in answer.text:
        return "The shop that is running has another STRIPE_WEBHOOK_SECRET than this.", "Start it again."
    if there := endpoints_here():
        return (
            f"STRIPE_WEBHOOK_SECRET is not that of {there[0]['id']}, but another endpoint's or of `stripe listen`.",
            "Copy the endpoint's signing secret from the dashboard, and start the shop again.",
        )
    return (
        "Nothing brings them, or with another secret than STRIPE_WEBHOOK_SECRET.",
        f"Run `{LISTEN} {webhook_url()}`, and set the secret that it prints.",
    )


def catalogue(_account: billing.Answer) -> Findings:
    """The file, Stripe and our tables name the same prices."""
    try:
        products = catalog.load(config.ROOT / current_app.config["CATALOG"])
    except catalog.CatalogError as error:
        yield Finding(WRONG, "catalogue", error.message, "Correct the file.")
        return
    sold = [price for product in products for price in product.prices]
    pages = billing.prices(lookup_keys=[price.lookup_key for price in sold])
    at_stripe = {row["lookup_key"]: row for page in pages for row in page.object["data"] if row["active"]}
    ours = sa.select(Price.lookup_key, Price.id).where(Price.active, Price.deleted_at.is_(None))
    here = {row.lookup_key: row.id for row in db.session.execute(ours)}
    wrong = [finding for price in sold if (finding := price_finding(price, at_stripe, here))]
    yield from wrong or [Finding(OK, "catalogue", f"{len(sold)} prices are in line.")]


def price_finding(
    price: catalog.SoldPrice, at_stripe: dict[str, dict[str, Any]], here: dict[str | None, str]
) -> Finding | None:
    name, there = price.lookup_key, at_stripe.get(price.lookup_key)
    bring = "Run `flask catalog sync`."
    if there is None:
        return Finding(WRONG, "catalogue", f"No price at Stripe is called {name}: nobody can buy it.", bring)
    if here.get(name) != there["id"]:
        text = f"{name} names {there['id']} at Stripe, but {here.get(name) or 'nothing'} here."
        return Finding(WRONG, "catalogue", text, "Run `flask sync`, and look who moved the lookup key.")
    if not catalog.same_price(price, there["product"], there):
        return Finding(WRONG, "catalogue", f"{name} is another at Stripe than in the file ({there['id']}).", bring)
    return None
