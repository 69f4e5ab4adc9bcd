"""Finding a customer."""

import pytest
import sqlalchemy as sa

import db
from models import Customer, Subscription, User
from tests.staff.people import user_id


@pytest.mark.parametrize("asked", ["alice@example.com", "ALICE@example.com", "lice@ex", "example"])
def test_a_customer_is_found_by_a_part_of_the_address(alice, sam, asked):
    """Whole or not, in any case."""
    page = sam.get("/staff/customers", params={"q": asked}).text

    assert f'href="/staff/customers/{alice.id}">alice@example.com</a>' in page


def test_a_customer_is_found_by_name_and_by_whole_ids(alice, sam, shop):
    """What support has at hand: a name, Stripe's ids."""
    (customer,) = shop.rows(Customer)
    shop.sandbox.client.v1.customers.update(customer["id"], {"name": "Alice Liddell-Österreicher"})
    shop.settle()

    for asked in ("liddell", "ÖSTERREICH", "österreich", customer["id"], alice.subscription):
        page = sam.get("/staff/customers", params={"q": asked}).text
        assert "alice@example.com" in page
        assert "staff@example.com" not in page


def test_of_several_subscriptions_the_list_tells_the_live_one(alice, sam, shop):
    """Not the newest, if that is over."""
    (live,) = shop.rows(Subscription)
    with shop.app.app_context(), db.write() as tx:
        over = {**live, "id": "sub_over", "status": "canceled", "created": live["created"] + 1}
        tx.execute(sa.insert(Subscription).values(over))

    page = sam.get("/staff/customers", params={"q": "alice"}).text

    assert ("badge-good" in page, "Premium" in page) == (True, True)


@pytest.mark.parametrize("asked", ["nobody", "cus_x", "sub_x", "%", "_", "\0", "'--", "x" * 5000])
def test_who_is_not_there_is_not_found(alice, sam, asked):
    """The empty state; signs with a meaning in SQL have none here."""
    page = sam.get("/staff/customers", params={"q": asked})

    assert page.status_code == 200
    assert ("Nobody is called that" in page.text) == (asked != "\0")


def test_the_list_is_paged(shop, sam):
    """25 a page, newest first."""
    with shop.app.app_context(), db.write() as tx:
        tx.execute(
            sa.insert(User),
            [
                {
                    "email": f"p{n:02}@example.com",
                    "password": None,
                    "active": True,
                    "fs_uniquifier": str(n),
                    "is_staff": False,
                }
                for n in range(30)
            ],
        )

    first, second = (sam.get("/staff/customers", params={"q": "p", "page": page}).text for page in (1, 2))

    assert first.count(">p") - first.count(">p<") >= 25
    assert ("p29@" in first, "p29@" in second) == (True, False)
    assert ("p00@" in first, "p00@" in second) == (False, True)
    assert "page=2" in first
    assert "page=3" not in second


def test_people_who_are_no_customers_yet_have_a_page_too(shop, sam):
    """Signed up, nothing at Stripe."""
    shop.member("bob@example.com")

    page = sam.get(f"/staff/customers/{user_id(shop, 'bob@example.com')}").text

    assert "Nothing yet" in page
    assert "You have no subscription." in page
    assert "Copy anew from Stripe" not in page


@pytest.mark.parametrize("path", ["/staff/customers/999", "/staff/customers/0", "/staff/customers/99999999999999999999",
                                  "/staff/customers/x", "/staff/customers/-1"])  # fmt: skip
def test_who_does_not_exist_has_no_page(sam, path):
    """404, whatever the number."""
    assert sam.get(path).status_code == 404


@pytest.mark.parametrize("page", ["0", "-1", "x", "99999999999999999999999", "1e9"])
def test_odd_page_numbers_are_harmless(sam, page):
    """The first page, or one behind the last."""
    for path in ("/staff/customers", "/staff/events"):
        assert sam.get(path, params={"page": page}).status_code == 200
