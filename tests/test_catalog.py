"""The catalogue file: what it may say, and that all mistakes are told at once."""

import pytest

import catalog
import config

GOOD = """
[[products]]
key = "basic"
name = "Basic"
  [[products.prices]]
  lookup_key = "basic_monthly"
  interval = "month"
  currency = "usd"
  unit_amount = 500
"""


@pytest.fixture
def load(tmp_path):
    def load(text):
        file = tmp_path / "catalog.toml"
        file.write_text(text, "utf-8")
        return catalog.load(file)

    return load


def test_the_shops_own_catalogue_is_right():
    """Basic at 5 and Premium at 15 dollars a month, both in three currencies."""
    products = catalog.load(config.ROOT / "catalog.toml")

    prices = {price.lookup_key: price for product in products for price in product.prices}
    assert {key: price.unit_amount for key, price in prices.items()} == {"basic_monthly": 500, "premium_monthly": 1500}
    assert {currency for price in prices.values() for currency in price.currency_options} == {"eur", "aud"}


def test_a_product_opens_itself_unless_told_otherwise(load):
    """The shortest catalogue is enough."""
    (product,) = load(GOOD)

    assert product.opens == ["basic"]


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ('key = "basic"', "", "key is missing"),
        ('name = "Basic"', "name = 5", "name is missing"),
        ('name = "Basic"', 'name = "Basic"\ncolour = "red"', "'colour' is not known"),
        ('name = "Basic"', 'name = "Basic"\nopens = ["gold"]', "'gold', which is no product's key"),
        ('name = "Basic"', 'name = "Basic"\nopens = "basic"', "opens must be a list"),
        ('interval = "month"', 'interval = "fortnight"', "interval must be one of"),
        ('interval = "month"', 'interval = "month"\ninterval_count = 0', "interval_count"),
        ("unit_amount = 500", "unit_amount = 5.00", "whole number"),
        ("unit_amount = 500", "unit_amount = -1", "whole number"),
        ("unit_amount = 500", "unit_amount = true", "whole number"),
        ("unit_amount = 500", "unit_amount = 500\ncurrency_options = { usd = 5 }", "given twice"),
        ("unit_amount = 500", 'unit_amount = 500\ncurrency_options = { eur = "5" }', "whole number"),
        ("unit_amount = 500", "unit_amount = 500\ncurrency_options = 5", "currency"),
        ('currency = "usd"', 'currency = "USD"', "small letters"),
        ('lookup_key = "basic_monthly"', "", "lookup_key is missing"),
        ("[[products]]", "[[product]]", "names no products"),
        (GOOD, "", "names no products"),
        (GOOD, "= 5", "at line 1"),
        (GOOD, GOOD + GOOD, "more than once"),
    ],
)
def test_a_mistake_is_named(load, old, new, word):
    """Nothing is sent to Stripe from a file that is wrong."""
    with pytest.raises(catalog.CatalogError, match=r"catalog\.toml") as caught:
        load(GOOD.replace(old, new))

    assert word in caught.value.message


def test_a_missing_file_is_named(tmp_path):
    """The command ends with one line."""
    with pytest.raises(catalog.CatalogError, match="cannot be read"):
        catalog.load(tmp_path / "nothing.toml")
