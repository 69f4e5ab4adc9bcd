"""Our tables against Stripe: what lists over everybody show, then by id each row of ours that none of them showed.

A row that was written in this run is newer than the run's beginning by Stripe's own clock (`known_from`): that tells
what is left to ask for, however often the run was cut off.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa

import billing
import catalog
import db
import readings
import subscriptions
import sync
from copies import ENTITLEMENTS, READERS, id_of, identity
from drift import EQUAL, GONE, MISSING, Report, Run, difference
from models import Customer, PaymentMethod, User

LISTS: dict[str, Callable[..., Iterator[billing.Answer]]] = {
    "product": billing.products,
    "price": billing.prices,
    "customer": billing.customers,
    "subscription": billing.subscriptions,
    "invoice": billing.invoices,
}
OF_CUSTOMER: dict[str, Callable[[str], Iterator[billing.Answer]]] = {
    "subscription": billing.subscriptions_of,
    "invoice": billing.invoices_of,
    "payment_method": billing.payment_methods_of,
    "tax_id": billing.tax_ids_of,
}
# Of methods, tax ids and entitlements Stripe has no list over everybody; schedules are named by their subscriptions.
KINDS = (*LISTS, "subscription_schedule", "payment_method", "tax_id", ENTITLEMENTS)
CHUNK = 100
Row = dict[str, Any]
Show = Callable[[str, int], None]  # a kind, and how many rows of it were looked at


def rows_of_ours() -> int:
    """How many rows there are to look at; for a progress bar."""
    counts = [sa.select(sa.func.count()).select_from(READERS[kind][0]) for kind in KINDS]
    return sum(db.session.scalar(count) or 0 for count in counts)


def everything(*, dry_run: bool, anew: bool, show: Show) -> Report:
    """Compare all rows with Stripe's and, unless it is a dry run, write what differs.

    Goes on where a run of the last day was cut off, unless `anew`. Raises BillingError, WrongDatabase, Overtaken.
    """
    began = catalog.check_database().date + sync.MARGIN
    run = Run.unsaved(began, KINDS) if dry_run else Run.begin(began, KINDS, anew)
    check = Check(run.report, run.started_at, show)
    features = billing.has_features()
    for kind in KINDS[KINDS.index(run.kind) :]:
        for cursor in check.listed(kind, run.cursor if kind == run.kind else None, features):
            run.save(kind, cursor)
        check.left(kind)
    run.end()
    return run.report


def one_customer(customer_id: str, *, dry_run: bool) -> Report:
    """Compare a customer of ours with Stripe's."""
    began = catalog.check_database().date
    report = Report(dry_run=dry_run)
    Check(report, began, lambda _kind, _count: None).whole(customer_id)
    return report


class Check:
    """Compares objects of Stripe's with our rows, and writes them unless the report is of a dry run."""

    def __init__(self, report: Report, started_at: int, show: Show) -> None:
        self.report, self.started_at, self.show = report, started_at, show
        self.dry_run = report.dry_run
        self.shown: set[str] = set()  # what was looked at without a mark: in a dry run, or in a run's first seconds
        self.adoptable: set[str] = set()  # of a dry run, which makes nobody ours
        self.done: set[str] = set()  # customers with all that is theirs

    # Lists

    def listed(self, kind: str, cursor: str | None, features: bool) -> Iterator[str]:
        """Look at all that Stripe has of a kind, and say after each step up to where."""
        if kind in LISTS:
            yield from self.pages(kind, cursor)
        elif kind in OF_CUSTOMER:
            yield from self.each_customer(cursor, lambda customer_id: self.of_customer(kind, customer_id))
        elif kind == ENTITLEMENTS and features:
            yield from self.each_customer(cursor, lambda customer_id: self.by_id(ENTITLEMENTS, customer_id))

    def pages(self, kind: str, cursor: str | None) -> Iterator[str]:
        try:
            for page in LISTS[kind](**({"starting_after": cursor} if cursor else {})):
                self.page(kind, page)
                if page.object["data"]:
                    yield page.object["data"][-1]["id"]
        except billing.Missing:
            if not cursor:
                raise
            yield from self.pages(kind, None)  # what the cursor named is gone since

    def page(self, kind: str, page: billing.Answer) -> None:
        objects = self.ours(kind, page)
        for obj in objects:
            self.object(kind, page, obj)
        self.show(kind, len(objects))

    def ours(self, kind: str, page: billing.Answer) -> list[Row]:
        """What on a page is the shop's business."""
        objects: list[Row] = page.object["data"]
        if kind in sync.CATALOGUE:
            return objects
        owners = {obj["id"] if kind == "customer" else id_of(obj["customer"]) for obj in objects}
        known = set(db.session.scalars(sa.select(Customer.id).where(Customer.id.in_(owners))))
        if kind == "customer":
            for obj in objects:
                if obj["id"] not in known:
                    self.unknown_customer(page, obj)
            return [obj for obj in objects if obj["id"] in known]
        return [obj for obj in objects if id_of(obj["customer"]) in (known | self.adoptable) - self.done]

    def unknown_customer(self, answer: billing.Answer, obj: Row) -> None:
        """Make a customer ours who was made for one of our users, as after a backup from before that."""
        user_id = (obj.get("metadata") or {}).get("user_id", "")
        if not user_id.isascii() or not user_id.isdigit():
            return
        user = db.session.get(User, int(user_id)) if len(user_id) < 10 else None
        if user is None or user.email != (obj["email"] or "").lower() or readings.customer_of(user.id):
            self.report.without_account.append(obj["id"])
            return
        self.add("customer", MISSING, obj["id"])
        if self.dry_run:
            self.adoptable.add(obj["id"])
        else:
            subscriptions.adopt(dataclasses.replace(answer, object=obj), user, operation_id="")

    def each_customer(self, cursor: str | None, look: Callable[[str], object]) -> Iterator[str]:
        """Customers of ours by id, for what has no list over everybody."""
        while True:
            query = sa.select(Customer.id).where(Customer.deleted_at.is_(None), Customer.id > (cursor or ""))
            ids = list(db.session.scalars(query.order_by(Customer.id).limit(CHUNK)))
            if not ids:
                return
            for cursor in ids:
                look(cursor)
                yield cursor

    def of_customer(self, kind: str, customer_id: str) -> set[str]:
        """Look at all of a kind that a customer has, and say which that was."""
        seen: set[str] = set()
        try:
            for page in OF_CUSTOMER[kind](customer_id):
                self.page(kind, page)
                seen |= {obj["id"] for obj in page.object["data"]}
        except billing.Missing:
            pass  # the customer is gone; what was theirs is asked for by id
        return seen

    # One by one

    def left(self, kind: str) -> None:
        """Ask for each row of ours that nothing has shown."""
        for id in self.not_seen(kind):
            if kind == "customer":
                self.whole(id)
            else:
                self.by_id(kind, id)
            self.show(kind, 1)

    def not_seen(self, kind: str, customer_id: str | None = None) -> list[str]:
        model = READERS[kind][0]
        query = sa.select(model.id).where(model.deleted_at.is_(None))
        if customer_id:
            query = query.where(model.customer_id == customer_id)
        else:
            query = query.where(model.known_from < self.started_at)
        if model is PaymentMethod:
            query = query.where(model.customer_id.is_not(None))  # one that was detached can never be used again
        return [id for id in db.session.scalars(query.order_by(model.id)) if id not in self.shown]

    def whole(self, customer_id: str) -> None:
        """A customer with all that is theirs: those on test clocks and deleted ones are in no list over everybody."""
        seen = set[str]().union(*(self.of_customer(kind, customer_id) for kind in OF_CUSTOMER))
        for kind in (*OF_CUSTOMER, "subscription_schedule", ENTITLEMENTS):
            for id in self.not_seen(kind, customer_id):
                if id not in seen:
                    self.by_id(kind, id)
        self.by_id("customer", customer_id)
        self.done.add(customer_id)

    def object(self, kind: str, answer: billing.Answer, obj: Row) -> None:
        """One object of a list."""
        held = sync.hold(READERS[kind][0], obj["id"])
        copy = sync.readable(obj)
        asked_at = sync.bounds(answer, None)["known_from"]
        if copy is None or sync.is_cut_off(obj):
            return self.by_id(kind, obj["id"])
        outcome, columns = difference(held, copy)
        if held and held.known_to >= asked_at:
            # As new as the list: only a question of its own can tell which of the two is right.
            if outcome != EQUAL:
                return self.by_id(kind, obj["id"])
            self.shown.add(obj["id"])
        elif not self.dry_run:
            self.write(kind, answer, obj, held)
        self.add(kind, outcome, obj["id"], columns)
        if (schedule := obj.get("schedule")) and not sync.hold(READERS["subscription_schedule"][0], schedule):
            self.by_id("subscription_schedule", schedule)
        return None

    def by_id(self, kind: str, id: str) -> None:
        """One object, by a question of its own."""
        held = sync.hold(READERS[kind][0], id)
        try:
            answer = billing.retrieve(kind, id)
            gone = bool(answer.object.get("deleted"))
        except billing.Missing:
            gone = True
        if gone:
            if held and not held.gone:
                self.add(kind, GONE, id)
                if not self.dry_run:
                    sync.ask(kind, id, quick=False)
            return
        copy = sync.readable(answer.object)
        if copy is None:
            self.report.unfinished.append(f"{kind} {id} has a shape that can't be read")
            return
        outcome, columns = difference(held, copy)
        if not self.dry_run:
            self.write(kind, answer, answer.object, held)
        self.add(kind, outcome, id, columns)

    def write(self, kind: str, answer: billing.Answer, obj: Row, held: sync.Held | None) -> None:
        """Over the row that we compared with; what changed since then is asked for anew."""
        if sync.bounds(answer, None)["known_from"] < self.started_at:
            self.shown.add(str(identity(obj)))
        if sync.bring(answer, obj, held.version if held else 0, None, None):
            return
        try:
            sync.ask(kind, str(identity(obj)), quick=False)
        except sync.Contended:
            self.report.unfinished.append(f"{kind} {identity(obj)} changed again and again while it was asked for")

    def add(self, kind: str, outcome: str, id: str, columns: list[str] | None = None) -> None:
        self.report.add(kind, outcome, id, columns or ())
        if self.dry_run:
            self.shown.add(id)
