"""Sam, who is staff, and Alice, who is a customer."""

import pytest

from tests.shop import pay
from tests.staff.people import staff_member, user_id


@pytest.fixture
def sam(shop):
    """Sam is staff."""
    return staff_member(shop)


@pytest.fixture
def alice(shop):
    """Alice has Premium."""
    alice = shop.member()
    attempt = alice.subscribe("premium_monthly")
    pay(shop.sandbox, attempt["clientSecret"])
    shop.settle()
    alice.subscription = attempt["subscriptionId"]
    alice.id = user_id(shop, "alice@example.com")
    return alice
