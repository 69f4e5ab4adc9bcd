"""What is sold: catalog.toml, and how Stripe and our tables are brought in line with it."""

from __future__ import annotations

import tomllib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import click
import sqlalchemy as sa
from flask import current_app

import billing
import db
import operations
import sync
from models import Price, Product, StripeAccount

INTERVALS = ("day", "week", "month", "year")
Row = dict[str, Any]


class CatalogError(click.ClickException):
    """The file is not as it should be; all problems at once."""

    def __init__(self, file: Path, problems: list[str]) -> None:
        super().__init__(f"{file.name} needs attention:\n" + "\n".join(f"  - {problem}" for problem in problems))


@dataclass(frozen=True)
class SoldPrice:
    lookup_key: str
    interval: str
    interval_count: int
    currency: str
    unit_amount: int
    currency_options: dict[str, int]  # the other currencies


@dataclass(frozen=True)
class SoldProduct:
    key: str
    name: str
    description: str
    opens: list[str]
    features: list[str]
    prices: list[SoldPrice]


# ---------------------------------------------------------------------------------------------------------------------
# The file


def load(file: Path) -> list[SoldProduct]:
    """The products in a catalogue file. Raises CatalogError."""
    try:
        content = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise CatalogError(file, [f"cannot be read: {error.strerror}"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CatalogError(file, [str(error)]) from error
    problems: list[str] = []
    given = content.get("products")
    rows = given if isinstance(given, list) and all(isinstance(row, dict) for row in given) else []
    if not rows:
        problems.append("names no products: write [[products]] sections")
    products = [_product(row, f"product {place}", problems) for place, row in enumerate(rows, 1)]
    found = [product for product in products if product]
    problems += _doubles("key", [product.key for product in found])
    problems += _doubles("lookup_key", [price.lookup_key for product in found for price in product.prices])
    keys = {product.key for product in found}
    problems += [
        f"{p.key} opens {other!r}, which is no product's key" for p in found for other in p.opens if other not in keys
    ]
    if problems:
        raise CatalogError(file, problems)
    return found


def _product(row: Row, place: str, problems: list[str]) -> SoldProduct | None:
    before = len(problems)
    place = f"product {row['key']!r}" if isinstance(row.get("key"), str) else place
    known = {"key", "name", "description", "opens", "features", "prices"}
    problems += [f"{place}: {name!r} is not known here" for name in row if name not in known]
    for name in ("key", "name"):
        if not isinstance(row.get(name), str) or not row[name].strip():
            problems.append(f"{place}: {name} is missing")
    if not isinstance(row.get("description", ""), str):
        problems.append(f"{place}: description must be a text")
    for name in ("opens", "features"):
        if not isinstance(row.get(name, []), list) or not all(isinstance(one, str) for one in row.get(name, [])):
            problems.append(f"{place}: {name} must be a list of texts")
    rows = row.get("prices")
    if not isinstance(rows, list) or not rows or not all(isinstance(one, dict) for one in rows):
        problems.append(f"{place}: has no [[products.prices]]")
        rows = []
    prices = [_price(one, place, problems) for one in rows]
    if len(problems) > before:
        return None
    key = row["key"]
    return SoldProduct(
        key,
        row["name"],
        row.get("description", ""),
        row.get("opens", [key]),
        row.get("features", []),
        [price for price in prices if price],
    )


def _price(row: Row, place: str, problems: list[str]) -> SoldPrice | None:
    before = len(problems)
    place = f"{place}, price {row.get('lookup_key', '?')!r}"
    known = {"lookup_key", "interval", "interval_count", "currency", "unit_amount", "currency_options"}
    problems += [f"{place}: {name!r} is not known here" for name in row if name not in known]
    if not isinstance(row.get("lookup_key"), str) or not row["lookup_key"]:
        problems.append(f"{place}: lookup_key is missing")
    if row.get("interval") not in INTERVALS:
        problems.append(f"{place}: interval must be one of {', '.join(INTERVALS)}")
    if not _is_amount(row.get("interval_count", 1)) or row.get("interval_count", 1) < 1:
        problems.append(f"{place}: interval_count must be a whole number from 1")
    options = row.get("currency_options", {})
    options = options if isinstance(options, dict) else {"?": None}
    for currency, amount in {row.get("currency"): row.get("unit_amount"), **options}.items():
        if not isinstance(currency, str) or len(currency) != 3 or not currency.islower():
            problems.append(f"{place}: currency must be a code such as usd, in small letters")
        if not _is_amount(amount):
            problems.append(f"{place}: the amount in {currency} must be a whole number in the smallest unit")
    if row.get("currency") in options:
        problems.append(f"{place}: {row['currency']} is given twice")
    if len(problems) > before:
        return None
    return SoldPrice(
        row["lookup_key"], row["interval"], row.get("interval_count", 1), row["currency"], row["unit_amount"], options
    )


def _is_amount(value: Any) -> bool:
    return type(value) is int and 0 <= value <= 99_999_999


def _doubles(name: str, values: list[str]) -> list[str]:
    return [f"{name} {value!r} is given more than once" for value in sorted({v for v in values if values.count(v) > 1})]


# ---------------------------------------------------------------------------------------------------------------------
# In line with Stripe


def bring_in_line(products: list[SoldProduct]) -> Iterator[str]:
    """Create and update products and prices at Stripe and copy them to our tables; yields what was done, in words.

    Twice gives nothing new. A changed amount makes a new price that takes the lookup key over.
    """
    claim_database()
    noted = note()
    at_stripe = {
        row["metadata"]["key"]: row for row in _learned(noted, billing.products()) if row["metadata"].get("key")
    }
    keys = [price.lookup_key for product in products for price in product.prices]
    prices = {row["lookup_key"]: row for row in _learned(noted, billing.prices(lookup_keys=keys))}
    for product in products:
        product_id = yield from _product_in_line(product, at_stripe.get(product.key))
        for price in product.prices:
            yield from _price_in_line(price, product_id, prices.get(price.lookup_key))
    yield from _archive_others(products)


def _learned(noted: dict[str, int], pages: Iterator[billing.Answer]) -> Iterator[Row]:
    for page in pages:
        sync.learn(noted, page, *page.object["data"])
        yield from page.object["data"]


def note() -> dict[str, int]:
    """The version of every row of the catalogue; see sync.note."""
    query = sa.union_all(sa.select(Product.id, Product.version), sa.select(Price.id, Price.version))
    return {row.id: row.version for row in db.session.execute(query)}


def _product_in_line(product: SoldProduct, there: Row | None) -> Generator[str, None, str]:
    wanted: Row = {
        "name": product.name,
        "metadata": {"key": product.key, "opens": " ".join(product.opens)},
        "marketing_features": [{"name": feature} for feature in product.features],
    }
    if product.description:
        wanted["description"] = product.description
    if there is None:
        answer = _create("product", product.key, wanted)
        yield f"created product {product.name} ({answer.object['id']})"
    else:
        same = there["active"] and there["metadata"] == {**there["metadata"], **wanted["metadata"]}
        same = same and all(there[name] == wanted[name] for name in ("name", "marketing_features"))
        if same and (there["description"] or "") == product.description:
            return str(there["id"])
        noted = note()
        answer = billing.update_product(
            there["id"], cast(Any, {**wanted, "description": product.description, "active": True})
        )
        sync.learn(noted, answer)
        yield f"updated product {product.name} ({there['id']})"
    return str(answer.object["id"])


def _price_in_line(price: SoldPrice, product_id: str, there: Row | None) -> Iterator[str]:
    if there is not None and there["active"] and same_price(price, product_id, there):
        return
    wanted: Row = {
        "product": product_id,
        "currency": price.currency,
        "unit_amount": price.unit_amount,
        "recurring": {"interval": price.interval, "interval_count": price.interval_count},
        "lookup_key": price.lookup_key,
        "transfer_lookup_key": True,
        "expand": ["currency_options"],
    }
    if price.currency_options:
        wanted["currency_options"] = {code: {"unit_amount": amount} for code, amount in price.currency_options.items()}
    answer = _create("price", price.lookup_key, wanted)
    yield f"created price {price.lookup_key} ({answer.object['id']})"
    if there is not None:
        # It lost its lookup key by this; who subscribed to it keeps paying it, but nobody else can.
        noted = note()
        sync.learn(noted, billing.retire_price(there["id"]))
        yield f"retired price {there['id']}, which {price.lookup_key} named before"


def same_price(price: SoldPrice, product_id: str, there: Row) -> bool:
    """Whether a price at Stripe is what the file says."""
    amounts = {code: option["unit_amount"] for code, option in (there.get("currency_options") or {}).items()}
    recurring = there["recurring"] or {}
    return (
        there["product"] == product_id
        and there["currency"] == price.currency
        and {price.currency: there["unit_amount"], **amounts}
        == {price.currency: price.unit_amount, **price.currency_options}
        and (recurring.get("interval"), recurring.get("interval_count")) == (price.interval, price.interval_count)
    )


def _create(kind: str, name: str, wanted: Row) -> billing.Answer:
    """Make a product or price once, though an answer be lost."""
    noted = note()
    operation = operations.begin(f"create_{kind}", name, wanted)
    create = billing.create_product if kind == "product" else billing.create_price
    try:
        answer = create(cast(Any, operation.params), operation.id)
    except billing.Refused as error:
        operations.end(operation.id, "failed", str(error))
        raise
    operations.end(operation.id, "done")
    sync.learn(noted, answer)
    return answer


def _archive_others(products: list[SoldProduct]) -> Iterator[str]:
    """What the file no longer names is no longer for sale; subscribers keep it."""
    keys = [price.lookup_key for product in products for price in product.prices]
    others = sa.select(Price.id, Price.lookup_key).join(Product, Product.id == Price.product_id)
    others = others.where(
        Price.active, Price.lookup_key.is_not(None), Price.lookup_key.not_in(keys), Product.key.is_not(None)
    )
    for row in db.session.execute(others).all():
        noted = note()
        sync.learn(noted, billing.retire_price(row.id))
        yield f"retired price {row.lookup_key}, which the file does not name"


# ---------------------------------------------------------------------------------------------------------------------
# Whose database this is


class WrongDatabase(click.ClickException):
    """The database holds another account's customers."""


def claim_database() -> None:
    """Note which Stripe account and mode this database belongs to. Raises WrongDatabase if it is another's."""
    config = current_app.config
    account = check_database().object["id"]
    mine = {"account_id": account, "mode": config["STRIPE_MODE"], "api_base": config["STRIPE_API_BASE"]}
    with db.write() as tx:
        tx.execute(db.insert(StripeAccount).values(id=1, **mine).on_conflict_do_nothing())


def check_database() -> billing.Answer:
    """Ask Stripe whose key we have. Raises WrongDatabase if this database is known to be another account's."""
    config = current_app.config
    answer = billing.account()
    account = answer.object["id"]
    row = db.session.execute(sa.select(StripeAccount.account_id, StripeAccount.mode)).first()
    if row and (row.account_id, row.mode) != (account, config["STRIPE_MODE"]):
        raise WrongDatabase(
            f"this database belongs to the Stripe account {row.account_id} ({row.mode} mode), but the key in your "
            f"settings to {account} ({config['STRIPE_MODE']} mode).\n"
            f"Either use that account's keys again, or give this one a database of its own: set DATABASE_URL, or move "
            f"{sa.make_url(config['DATABASE_URL']).render_as_string()} away."
        )
    return answer
