"""What pages show of a customer and of the catalogue: from our own tables, never from Stripe."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

import access
import db
from models import (
    BankOrder,
    Customer,
    Invoice,
    PaymentMethod,
    Price,
    Product,
    Subscription,
    SubscriptionItem,
    SubscriptionSchedule,
    User,
)

LIVE = ("trialing", "active", "past_due", "unpaid", "paused")
CURRENCIES = ("usd", "eur", "aud")
PLAN_CHANGE = "plan_change"  # metadata.purpose of the schedules that are ours
INVOICES_SHOWN = 12
FRESH = {"populate_existing": True}  # rows are written past the session, by Core statements

STATUS_TEXTS = {
    "active": "Active",
    "trialing": "Trial",
    "past_due": "Payment due",
    "unpaid": "Not paid",
    "paused": "Paused",
    "incomplete": "Waiting for payment",
    "incomplete_expired": "Never paid",
    "canceled": "Ended",
}
METHODS = {"sepa_debit": "SEPA debit", "au_becs_debit": "BECS debit", "link": "Link"}


@dataclass(frozen=True)
class Plan:
    """One price of the catalogue, in one currency."""

    key: str  # of the product: "basic"
    product_id: str
    price_id: str
    lookup_key: str
    name: str
    description: str
    features: list[str]
    amounts: dict[str, int]  # by currency, in its smallest unit
    base_currency: str
    currency: str
    interval: str
    interval_count: int
    is_current: bool = False

    @property
    def amount(self) -> int:
        return self.amounts[self.currency]

    def shown(self, currency: str, current: str | None) -> Plan:
        """The same plan in another currency, marked if it is the customer's own."""
        code = currency if currency in self.amounts else self.base_currency
        return replace(self, currency=code, is_current=self.lookup_key == current)


@dataclass(frozen=True)
class PlannedChange:
    """A change of plan that is to come."""

    name: str  # of the plan
    at: int | None  # None: as soon as it is paid
    invoice_id: str | None  # what has to be paid for it
    ours: bool = True

    @property
    def waits(self) -> bool:
        return self.at is None


@dataclass(frozen=True)
class SubscriptionView:
    id: str
    status: str
    plan_name: str
    product_key: str | None
    lookup_key: str | None
    amount: int | None
    currency: str
    interval: str | None
    interval_count: int
    quantity: int | None
    discounted: bool
    created: int
    cancel_at_period_end: bool
    ends_at: int | None
    renews_at: int | None
    trial_until: int | None
    decision: access.Decision
    change: PlannedChange | None = None  # looked up for the current one only

    @property
    def status_text(self) -> str:
        return STATUS_TEXTS.get(self.status, self.status)

    @property
    def allowed(self) -> bool:
        return self.decision.allowed

    @property
    def reason_text(self) -> str:
        return self.decision.reason_text

    @property
    def is_live(self) -> bool:
        return self.status in LIVE

    @property
    def can_cancel(self) -> bool:
        return self.is_live or self.status == "incomplete"

    @property
    def can_change(self) -> bool:
        return self.status in ("active", "trialing") and self.ends_at is None and self.change is None

    @property
    def can_resume(self) -> bool:
        return self.status in ("active", "trialing", "past_due") and self.ends_at is not None


@dataclass(frozen=True)
class AccountView:
    """A customer's account settings, as they and staff see it."""

    email: str
    customer: Customer | None  # None: Stripe does not know them yet
    current: SubscriptionView | None
    others: list[SubscriptionView]  # live ones besides, sold in Stripe's dashboard
    past: list[SubscriptionView]
    payment_method: dict[str, Any] | None
    invoices: list[dict[str, Any]]  # the newest
    more_invoices: bool

    @property
    def currency(self) -> str | None:
        """Fixed by the first invoice."""
        return self.customer.currency if self.customer else None


# ---------------------------------------------------------------------------------------------------------------------
# The catalogue


def plans() -> list[Plan]:
    """What is sold, cheapest first, each in its price's own currency."""
    return [_plan(row, None) for row in _catalogue() if row["lookup_key"]]


def find_plan(
    *, lookup_key: str | None = None, price_id: str | None = None, currency: str | None = None
) -> Plan | None:
    """The plan of a lookup key or a price id that is for sale."""
    for row in _catalogue():
        if row["lookup_key"] and (row["lookup_key"] == lookup_key or row["id"] == price_id):
            return _plan(row, currency)
    return None


def _catalogue() -> list[dict[str, Any]]:
    query = (
        sa.select(Price.__table__, Product.key, Product.name, Product.description, Product.features)
        .join(Product, Product.id == Price.product_id)
        .where(Price.active, Product.active, Price.deleted_at.is_(None), Product.deleted_at.is_(None))
        .where(Product.key.is_not(None), Price.interval.is_not(None), Price.unit_amount.is_not(None))
        .order_by(Price.unit_amount, Price.id)
    )
    return [dict(row) for row in db.session.execute(query).mappings()]


def _plan(row: dict[str, Any], currency: str | None) -> Plan:
    amounts = {code: amount for code, amount in row["currency_options"].items() if amount is not None}
    return Plan(
        key=row["key"],
        product_id=row["product_id"],
        price_id=row["id"],
        lookup_key=row["lookup_key"],
        name=row["name"],
        description=row["description"] or "",
        features=row["features"],
        amounts=amounts,
        base_currency=row["currency"],
        currency=currency if currency and currency in amounts else row["currency"],
        interval=row["interval"],
        interval_count=row["interval_count"] or 1,
    )


def currencies(shown: list[Plan]) -> list[str]:
    """The currencies that every plan is sold in, the catalogue's own first."""
    if not shown:
        return []
    common = set.intersection(*(set(plan.amounts) for plan in shown))
    return sorted(common, key=lambda code: (CURRENCIES.index(code) if code in CURRENCIES else len(CURRENCIES), code))


# ---------------------------------------------------------------------------------------------------------------------
# A customer


def customer_of(user_id: int) -> Customer | None:
    """The customer that a user is at Stripe, if there is one yet."""
    query = sa.select(Customer).where(Customer.user_id == user_id, Customer.deleted_at.is_(None))
    return db.session.scalars(query.order_by(Customer.known_from.desc()), execution_options=FRESH).first()


def user_of(customer_id: str | None) -> User | None:
    """The user behind a customer of Stripe's, if that is one of ours."""
    return db.session.scalar(
        sa.select(User).join(Customer, Customer.user_id == User.id).where(Customer.id == customer_id)
    )


def owner_of(subscription_id: str, user_id: int) -> str | None:
    """The customer behind a user's own subscription; None for one that is not theirs."""
    query = sa.select(Customer.id).join(Subscription, Subscription.customer_id == Customer.id)
    return db.session.scalar(query.where(Subscription.id == subscription_id, Customer.user_id == user_id))


def subscriptions_as_stripe(user_id: int) -> list[dict[str, Any]]:
    """A user's subscriptions, newest first, with Stripe's field names as far as our tables have them."""
    query = (
        sa.select(Subscription)
        .join(Customer, Customer.id == Subscription.customer_id)
        .where(Customer.user_id == user_id)
        .order_by(Subscription.created.desc(), Subscription.id)
    )
    rows = db.session.scalars(query, execution_options=FRESH).all()
    items: dict[str, list[dict[str, Any]]] = {row.id: [] for row in rows}
    kept = sa.select(SubscriptionItem, Price.lookup_key).outerjoin(Price, Price.id == SubscriptionItem.price_id)
    for item, lookup_key in db.session.execute(kept.where(SubscriptionItem.subscription_id.in_(items))):
        items[item.subscription_id].append(_item_as_stripe(item, lookup_key))
    return [
        {name: getattr(row, name) for name in _SUBSCRIPTION_FIELDS}
        | {"object": "subscription", "customer": row.customer_id, "items": {"object": "list", "data": items[row.id]}}
        for row in rows
    ]


_SUBSCRIPTION_FIELDS = (
    "id",
    "status",
    "created",
    "currency",
    "cancel_at",
    "cancel_at_period_end",
    "canceled_at",
    "ended_at",
    "trial_end",
    "latest_invoice",
    "default_payment_method",
)


def _item_as_stripe(item: SubscriptionItem, lookup_key: str | None) -> dict[str, Any]:
    return {
        "id": item.id,
        "object": "subscription_item",
        "quantity": item.quantity,
        "current_period_start": item.current_period_start,
        "current_period_end": item.current_period_end,
        "price": {
            "id": item.price_id,
            "object": "price",
            "lookup_key": lookup_key,
            "product": item.product_id,
            "unit_amount": item.unit_amount,
            "recurring": {"interval": item.interval, "interval_count": item.interval_count},
        },
    }


def account_view(user: User) -> AccountView:
    """All that the account settings page shows."""
    customer = customer_of(user.id)
    views = subscription_views(user.id)
    shown, more = invoices(user.id)
    first = next((view for view in views if view.is_live), None)
    if first is None and views and views[0].status == "incomplete":
        first = views[0]
    current = replace(first, change=_planned_change(first.id)) if first else None
    return AccountView(
        email=user.email,
        customer=customer,
        current=current,
        others=[view for view in views if view is not first and view.is_live],
        past=[view for view in views if view is not first and not view.is_live and view.status != "incomplete"],
        payment_method=_payment_method(current, customer),
        invoices=shown,
        more_invoices=more,
    )


def subscription_views(user_id: int) -> list[SubscriptionView]:
    """All of a user's subscriptions, newest first."""
    standings, now = access.standings_of(user_id)
    decisions = {standing.id: access.standing_gives(standing, now, **access.rules()) for standing in standings}
    query = (
        sa.select(Subscription.__table__, *_ITEM_COLUMNS, Product.name, Product.key, *_PRICE_COLUMNS)
        .join(Customer, Customer.id == Subscription.customer_id)
        .outerjoin(SubscriptionItem, SubscriptionItem.subscription_id == Subscription.id)
        .outerjoin(Product, Product.id == SubscriptionItem.product_id)
        .outerjoin(Price, Price.id == SubscriptionItem.price_id)
        .where(Customer.user_id == user_id)
        .order_by(Subscription.created.desc(), Subscription.id, SubscriptionItem.id)
    )
    views: dict[str, SubscriptionView] = {}
    for row in db.session.execute(query).mappings():
        if row["id"] not in views and row["id"] in decisions:
            views[row["id"]] = _view(row, decisions[row["id"]])
    return list(views.values())


_ITEM_COLUMNS = (
    SubscriptionItem.price_id,
    SubscriptionItem.quantity,
    SubscriptionItem.interval,
    SubscriptionItem.interval_count,
    SubscriptionItem.current_period_end,
    SubscriptionItem.id.label("item_id"),
    SubscriptionItem.unit_amount,
)
_PRICE_COLUMNS = (Price.lookup_key, Price.currency_options)


def _view(row: Any, decision: access.Decision) -> SubscriptionView:
    ends_at = (
        row["ended_at"] or row["cancel_at"] or (row["current_period_end"] if row["cancel_at_period_end"] else None)
    )
    renews = row["status"] in ("active", "trialing", "past_due") and not ends_at
    return SubscriptionView(
        id=row["id"],
        status=row["status"],
        plan_name=row["name"] or "Subscription",
        product_key=row["key"],
        lookup_key=row["lookup_key"],
        amount=Price.amount_in(row["currency"], row["currency_options"], row["unit_amount"]),
        currency=row["currency"],
        interval=row["interval"],
        interval_count=row["interval_count"] or 1,
        quantity=row["quantity"],
        discounted=row["discounted"],
        created=row["created"],
        cancel_at_period_end=row["cancel_at_period_end"],
        ends_at=ends_at,
        renews_at=row["current_period_end"] if renews else None,
        trial_until=row["trial_end"] if row["status"] == "trialing" else None,
        decision=decision,
    )


def _planned_change(subscription_id: str) -> PlannedChange | None:
    schedules = sa.select(
        SubscriptionSchedule.changes_to, SubscriptionSchedule.changes_at, SubscriptionSchedule.purpose
    )
    schedules = schedules.where(
        SubscriptionSchedule.subscription_id == subscription_id, SubscriptionSchedule.status == "active"
    )
    planned = db.session.execute(schedules.where(SubscriptionSchedule.changes_at.is_not(None))).first()
    if planned:
        return PlannedChange(_plan_name(planned.changes_to), planned.changes_at, None, planned.purpose == PLAN_CHANGE)
    waiting = sa.select(Subscription.pending_price, Subscription.latest_invoice).where(
        Subscription.id == subscription_id
    )
    row = db.session.execute(waiting.where(Subscription.pending_price.is_not(None))).first()
    return PlannedChange(_plan_name(row.pending_price), None, row.latest_invoice) if row else None


def _plan_name(price_id: str | None) -> str:
    query = sa.select(Product.name).join(Price, Price.product_id == Product.id).where(Price.id == price_id)
    return db.session.scalar(query) or "another plan"


def _payment_method(current: SubscriptionView | None, customer: Customer | None) -> dict[str, Any] | None:
    """The method that the next renewal is charged to: the subscription's own, else the customer's."""
    chosen = None
    if current:
        chosen = db.session.scalar(sa.select(Subscription.default_payment_method).where(Subscription.id == current.id))
    chosen = chosen or (customer.default_payment_method if customer else None)
    if chosen is None:
        return None
    method = db.session.get(PaymentMethod, chosen, populate_existing=True)
    if method is None or method.deleted_at:
        return None
    name = METHODS.get(method.type) or (method.brand or method.type).replace("_", " ").title()
    return {
        "id": method.id,
        "type": method.type,
        "brand": method.brand,
        "last4": method.last4,
        "exp_month": method.exp_month,
        "exp_year": method.exp_year,
        "text": f"{name} •••• {method.last4}" if method.last4 else name,
    }


def invoices(user_id: int, page: int = 1) -> tuple[list[dict[str, Any]], bool]:
    """A page of a user's invoices, newest first, and whether another page follows."""
    query = (
        sa.select(
            Invoice.__table__,
            BankOrder.under_way().label("under_way_since"),
            Subscription.status.label("subscription_status"),
        )
        .join(Customer, Customer.id == Invoice.customer_id)
        .outerjoin(Subscription, Subscription.id == Invoice.subscription_id)
        .outerjoin(BankOrder, BankOrder.invoice_id == Invoice.id)
        .where(Customer.user_id == user_id, Invoice.status != "draft", Invoice.deleted_at.is_(None))
        .order_by(Invoice.created.desc(), Invoice.id.desc())
        .offset((page - 1) * INVOICES_SHOWN)
        .limit(INVOICES_SHOWN + 1)
    )
    found = [dict(row) for row in db.session.execute(query).mappings()]
    return found[:INVOICES_SHOWN], len(found) > INVOICES_SHOWN
