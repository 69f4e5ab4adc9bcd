"""A member page against an empty page behind the same sign-in, in turn, in one process."""

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import render_template

import db
from app import create_app
from auth import customer_required
from models import Customer, Invoice, Product, Subscription, SubscriptionItem
from tests.conftest import PASSWORD, SETTINGS, Browser

ROUNDS, REQUESTS = 30, 20
MONTHS = 24  # invoices of the member
OTHERS = 2_000  # customers beside them


def run(_deep: bool) -> Iterator[tuple[str, str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        client = member(Path(folder))
        times: dict[str, list[float]] = {"/members/premium": [], "/empty": []}
        for _ in range(ROUNDS):
            for path, found in times.items():
                found.append(seconds(client, path))
        ratios = [page / empty for page, empty in zip(*times.values(), strict=True)]
    for path, found in times.items():
        yield f"GET {path}, median", f"{statistics.median(found) / REQUESTS * 1e6:.0f} us", ""
    yield "member page / empty page, median of the rounds", f"{statistics.median(ratios):.2f}", "at most 1.5"


def seconds(client: Browser, path: str) -> float:
    started = time.perf_counter()
    for _ in range(REQUESTS):
        assert client.get(path).status_code == 200
    return time.perf_counter() - started


def member(folder: Path) -> Browser:
    """Somebody with Premium for two years, in a shop with others."""
    app = create_app({**SETTINGS, "DATABASE_URL": f"sqlite:///{folder / 'shop.db'}"})
    app.instance_path = str(folder)
    app.test_client_class = Browser

    template = app.jinja_env.from_string('{% extends "base.html" %}')

    @app.get("/empty")
    @customer_required
    def empty() -> str:
        return render_template(template)

    with app.app_context():
        db.migrations().upgrade()
    client = app.test_client()
    assert isinstance(client, Browser)
    client.submit("/register", email="alice@example.com", password=PASSWORD, password_confirm=PASSWORD)
    with app.app_context(), db.write() as tx:
        fill(tx)
    return client


def fill(tx: sa.Connection) -> None:
    now = int(time.time())
    known = {"known_from": now, "known_to": now}
    product: dict[str, Any] = {"id": "prod_1", "key": "premium", "name": "Premium", "active": True, "features": []}
    tx.execute(sa.insert(Product).values(**product, opens=["basic", "premium"], **known))
    for number in range(OTHERS):
        mine = number == OTHERS // 2
        customer, subscription = f"cus_{number}", f"sub_{number}"
        tx.execute(sa.insert(Customer).values(id=customer, user_id=1 if mine else None, **known))
        values = {"id": subscription, "customer_id": customer, "status": "active", "created": now, "currency": "usd"}
        tx.execute(sa.insert(Subscription).values(**values, cancel_at_period_end=False, **known))
        item = {"id": f"si_{number}", "subscription_id": subscription, "price_id": "price_1", "product_id": "prod_1"}
        period = {"current_period_start": now, "current_period_end": now + 86_400}
        tx.execute(sa.insert(SubscriptionItem).values(**item, **period))
        amounts = dict.fromkeys(("total", "amount_due", "amount_paid", "amount_remaining", "attempt_count"), 0)
        for month in range(MONTHS if mine else 2):
            invoice = {"id": f"in_{number}_{month}", "customer_id": customer, "subscription_id": subscription}
            facts = {"status": "paid", "created": now + month, "currency": "usd"}
            tx.execute(sa.insert(Invoice).values(**invoice, **facts, **amounts, **known))
