"""The main path in a real browser."""

import pytest
from playwright.sync_api import expect

from models import Subscription
from tests.browser.person import Person

pytestmark = pytest.mark.browser


@pytest.fixture
def alice(page, shop):
    return Person(page, shop.url)


def test_register_choose_pay_and_read(alice, shop):
    """From the first page to the Premium page by clicking and typing a test card."""
    alice.register().choose("Premium").pay()

    alice.sees_welcome()
    alice.page.get_by_role("link", name="Start reading").click()
    expect(alice.page).to_have_url(shop.url + "/members/premium")
    assert [row["status"] for row in shop.rows(Subscription)] == ["active"]
