"""A sandbox, a tiny shop with the Payment Element, and an order to pay there."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.elements.shop import PaymentPage, running_shop
from tests.sandbox_process import SandboxProcess


@pytest.fixture(scope="session")
def sandbox_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with SandboxProcess(tmp_path_factory.mktemp("sandbox") / "sandbox.db", "--check") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(sandbox_process: SandboxProcess) -> Iterator[SandboxProcess]:
    """An empty world; every request and answer of the test must fit Stripe's own types."""
    sandbox_process.reset()
    yield sandbox_process
    assert sandbox_process.violations() == []


@pytest.fixture(scope="session")
def shop_url(sandbox_process: SandboxProcess) -> Iterator[str]:
    with running_shop(sandbox_process.url.replace("127.0.0.1", "localhost")) as url:
        yield url


@pytest.fixture
def shop(page: Page, shop_url: str, sandbox: SandboxProcess) -> PaymentPage:
    return PaymentPage(page, shop_url)


@pytest.fixture
def order(sandbox: SandboxProcess) -> SimpleNamespace:
    """A subscription that waits for its first payment, and the client secret of that payment."""
    stripe = sandbox.client.v1
    customer = stripe.customers.create({"email": "alice@example.com"})
    product = stripe.products.create({"name": "Premium"})
    price = stripe.prices.create(
        {"product": product.id, "unit_amount": 1500, "currency": "usd", "recurring": {"interval": "month"}}
    )
    subscription: Any = stripe.subscriptions.create(
        {
            "customer": customer.id,
            "items": [{"price": price.id}],
            "payment_behavior": "default_incomplete",
            "payment_settings": {"save_default_payment_method": "on_subscription"},
            "expand": ["latest_invoice.confirmation_secret"],
        }
    )
    secret = subscription.latest_invoice.confirmation_secret.client_secret
    return SimpleNamespace(
        secret=secret,
        intent=secret.partition("_secret_")[0],
        subscription=subscription.id,
        customer=customer.id,
        status=lambda: stripe.subscriptions.retrieve(subscription.id).status,
    )
