"""`flask catalog sync`: Stripe and our tables in line with the file, once."""

import pytest

import catalog
import config
from models import Price, Product, StripeAccount

FILE = (config.ROOT / "catalog.toml").read_text("utf-8")


@pytest.fixture
def sync(shop, tmp_path):
    """Run the command on a file's text; answers with what it prints."""

    def sync(text=FILE, status=0):
        file = tmp_path / "catalog.toml"
        file.write_text(text, "utf-8")
        result = shop.app.test_cli_runner().invoke(args=["catalog", "sync", "--file", str(file)])
        assert result.exit_code == status, result.output
        return result.output

    return sync


def writes(shop):
    return [call for call in shop.sandbox.requests() if call["method"] == "POST"]


def prices(shop):
    return {price.id: price for price in shop.sandbox.client.v1.prices.list({"expand": ["data.currency_options"]}).data}


def sold(shop):
    return {row["lookup_key"]: row for row in shop.rows(Price) if row["active"]}


def test_the_local_tables_are_filled_from_stripe(shop):
    """The `shop` fixture has run it once."""
    assert {row["key"]: row["opens"] for row in shop.rows(Product)} == {
        "basic": ["basic"],
        "premium": ["basic", "premium"],
    }
    assert sold(shop)["premium_monthly"]["currency_options"] == {"usd": 1500, "eur": 1500, "aud": 2300}
    assert set(prices(shop)) == {row["id"] for row in shop.rows(Price)}


def test_twice_gives_nothing_new(shop, sync):
    """And says so."""
    sync()
    shop.sandbox.control("DELETE", "requests")

    assert "in line" in sync()
    assert writes(shop) == []


def test_a_changed_amount_makes_a_new_price_and_moves_the_key(shop, sync):
    """Who subscribed before keeps the old one; nobody else can have it."""
    before = sold(shop)["basic_monthly"]["id"]
    said = sync(FILE.replace("unit_amount = 500", "unit_amount = 600"))

    after = sold(shop)["basic_monthly"]
    assert "created price basic_monthly" in said
    assert (after["id"] != before, after["unit_amount"]) == (True, 600)
    old, new = prices(shop)[before], prices(shop)[after["id"]]
    assert (old.active, old.lookup_key, new.lookup_key) == (False, None, "basic_monthly")
    shop.settle()
    assert sold(shop)["basic_monthly"]["id"] == after["id"]


def test_a_changed_currency_option_makes_a_new_price_too(shop, sync):
    """What a reader in EUR sees is what they pay."""
    sync(FILE.replace("eur = 500", "eur = 490"))

    assert sold(shop)["basic_monthly"]["currency_options"]["eur"] == 490


def test_a_changed_text_updates_the_product(shop, sync):
    """Same product, same price."""
    before = sold(shop)["basic_monthly"]["id"]
    said = sync(FILE.replace('name = "Basic"', 'name = "Starter"'))

    assert "updated product Starter" in said
    assert {row["name"] for row in shop.rows(Product)} == {"Starter", "Premium"}
    assert sold(shop)["basic_monthly"]["id"] == before


def test_what_the_file_no_longer_names_is_retired(shop, sync):
    """It stays with those who have it."""
    said = sync(FILE[: FILE.rindex("[[products]]")].replace('"basic", "premium"', '"basic"'))

    assert "retired price premium_monthly" in said
    assert set(sold(shop)) == {"basic_monthly"}
    assert "No subscription" in shop.member().get("/account").text


def test_an_archived_product_is_revived(shop, sync):
    """Somebody archived it in the dashboard."""
    product = next(row["id"] for row in shop.rows(Product) if row["key"] == "basic")
    shop.sandbox.client.v1.products.update(product, {"active": False})
    shop.settle()

    assert "updated product Basic" in sync()
    assert shop.sandbox.client.v1.products.retrieve(product).active


def test_a_lost_answer_makes_nothing_twice(shop, sync):
    """The stored key finds what was made."""
    shop.sandbox.fault(method="POST", path="^/v1/prices$", status=500, times=9, when="after")
    said = sync(FILE.replace("unit_amount = 500", "unit_amount = 600"), status=1)
    shop.sandbox.control("DELETE", "faults")
    sync(FILE.replace("unit_amount = 500", "unit_amount = 600"))

    assert "Run it again" in said
    assert [price.unit_amount for price in prices(shop).values() if price.lookup_key == "basic_monthly"] == [600]
    assert len(prices(shop)) == 3


def test_a_wrong_file_sends_nothing(shop, sync):
    """All mistakes, no request."""
    shop.sandbox.control("DELETE", "requests")

    assert "unit_amount" not in sync(FILE.replace('currency = "usd"', 'currency = "DOLLAR"'), status=1)
    assert shop.sandbox.requests() == []


def test_a_database_of_another_account_stops_the_start_and_names_both_ways_out(shop, sync):
    """Customers of two accounts never share tables."""
    shop.sandbox.reset()  # a new world is a new account

    said = sync(status=1)

    assert "belongs to the Stripe account" in said
    assert "keys again" in said
    assert "DATABASE_URL" in said
    assert len(shop.rows(StripeAccount)) == 1


def test_an_account_without_products_sells_nothing_and_says_how_to_begin(sandbox, make_app):
    """The empty state of the plans page."""
    page = make_app(STRIPE_API_BASE=sandbox.url).test_client().get("/").get_data(as_text=True)

    assert "flask catalog sync" in page


def test_the_file_of_the_shop_is_what_is_sold(shop):
    """README's prices."""
    assert {key: row["unit_amount"] for key, row in sold(shop).items()} == {
        price.lookup_key: price.unit_amount
        for product in catalog.load(config.ROOT / "catalog.toml")
        for price in product.prices
    }


def test_what_was_made_elsewhere_stays_for_sale(shop, sync):
    """By hand in the dashboard, with a lookup key of its own or none."""
    stripe = shop.sandbox.client.v1
    other = stripe.products.create({"name": "Made by hand"})
    own = stripe.products.list({"active": True}).data[-1].id
    price = {"currency": "usd", "unit_amount": 900, "recurring": {"interval": "month"}}
    stripe.prices.create({**price, "product": other.id, "lookup_key": "by_hand"})
    stripe.prices.create({**price, "product": own})
    shop.settle()

    assert "retired" not in sync()

    assert all(one.active for one in stripe.prices.list({"limit": 100}).data)
