"""What staff do on their pages, in words."""

import staff_members
from models import Outbox, StaffAction, User


def staff_member(shop, email="staff@example.com"):
    """Somebody whom `flask staff add` has made staff, signed in."""
    with shop.app.app_context():
        password = staff_members.add(email)
    visitor = shop.visitor()
    visitor.password = password
    assert visitor.submit("/login", email=email, password=password).status_code == 200
    return visitor


def user_id(shop, email):
    return next(row["id"] for row in shop.rows(User) if row["email"] == email)


def act(visitor, customer, what, **fields):
    """Press a button of a customer's page; says the page that comes then."""
    return visitor.submit(f"/staff/customers/{customer.id}/{what}", **fields)


def cancel(visitor, customer, when="period_end", reason="They asked by phone."):
    return act(visitor, customer, "cancel", subscription=customer.subscription, when=when, reason=reason)


def actions(shop):
    return sorted(shop.rows(StaffAction), key=lambda row: row["started_at"])


def mails(shop, kind):
    """What the mails of a kind are about."""
    return [row["object_id"] for row in shop.rows(Outbox) if row["kind"] == kind]


def at_stripe(shop, customer):
    return shop.sandbox.client.v1.subscriptions.retrieve(customer.subscription)
