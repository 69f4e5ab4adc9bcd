"""Events that never came: read from Stripe, which keeps them for 30 days, and taken like deliveries."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

import billing
import catalog
import db
import ledger
import readings
import sync
import webhooks
from copies import READERS, identity
from drift import EQUAL, GONE, Report, difference
from models import Subscription, SubscriptionItem
from reconcile import Check, Show

KEPT_FOR = 30 * 24 * 3600  # seconds that Stripe keeps events
OVERDUE = 2 * 3600  # seconds after a period's end until its renewal should have been heard of


def since(seconds_ago: int | None, instant: int, *, dry_run: bool, show: Show) -> Report:
    """Take every event since then that is not settled in the ledger, and ask for what no event told of.

    Raises BillingError, WrongDatabase; ValueError where Stripe no longer has all events, or cannot have any yet. What
    is done stays done: the ledger knows.
    """
    now = catalog.check_database().date
    began = now - seconds_ago if seconds_ago is not None else instant
    if began < now - KEPT_FOR:
        raise ValueError("Stripe keeps events for 30 days: run `flask sync` without --since.")
    if began > now:
        raise ValueError("--since lies ahead, by Stripe's clock: name an instant that has passed.")
    report = Report(dry_run=dry_run)
    check = Check(report, now, show)
    window = {"created": {"gte": began}}
    for page in billing.events(type="customer.created", **window):
        for event in page.object["data"]:
            new_customer(check, event["data"]["object"])
    # Newest first: older snapshots are late then and cost nothing, and nobody gets a mail about what has passed.
    for page in billing.events(**window):
        for event in page.object["data"]:
            if event["type"] in webhooks.HANDLERS and not ledger.is_settled(event["id"]):
                missed(check, event)
        show("event", len(page.object["data"]))
    if not dry_run:
        replay_unfinished(report)
    for id in overdue(now):
        check.by_id("subscription", id)
    return report


def new_customer(check: Check, obj: dict[str, Any]) -> None:
    if not ledger.is_ours(obj, obj["id"]) and (obj.get("metadata") or {}).get("user_id"):
        answer = billing.retrieve("customer", obj["id"])
        if not answer.object.get("deleted"):
            check.unknown_customer(answer, answer.object)


def missed(check: Check, event: dict[str, Any]) -> None:
    """Take one event, and report what it changed."""
    obj = event["data"]["object"]
    kind, id = obj["object"], identity(obj)
    if kind not in READERS or id is None:
        if not check.dry_run:
            take(check.report, event)
    elif check.dry_run:
        if id not in check.shown and ledger.is_ours(obj, ledger.owner(event)):
            check.by_id(kind, id)
    else:
        before = sync.hold(READERS[kind][0], id)
        take(check.report, event)
        after = sync.hold(READERS[kind][0], id)
        if after is None or (before and before.version == after.version):
            return
        outcome, columns = difference(before, after.copy)
        if after.gone and before and not before.gone:
            check.add(kind, GONE, id)
        elif outcome != EQUAL:
            check.add(kind, outcome, id, columns)


def take(report: Report, event: dict[str, Any]) -> None:
    answer, status = webhooks.take(event)
    if status >= 500 or answer["status"] == "later":
        report.unfinished.append(f"{event['type']} {event['id']}")


def replay_unfinished(report: Report) -> None:
    """What failed when it came, and what came before its customer was ours."""
    for id in [*ledger.unfinished(), *ledger.unfinished(state="foreign")]:
        if ledger.replay(id) == "failed":
            report.unfinished.append(f"event {id}")


def overdue(now: int) -> list[str]:
    """Live subscriptions whose period is over, though no event told of what came next."""
    ended = sa.select(SubscriptionItem.subscription_id).where(SubscriptionItem.current_period_end < now - OVERDUE)
    query = sa.select(Subscription.id).where(Subscription.status.in_(readings.LIVE), Subscription.id.in_(ended))
    return list(db.session.scalars(query.where(Subscription.deleted_at.is_(None)).order_by(Subscription.id)))
