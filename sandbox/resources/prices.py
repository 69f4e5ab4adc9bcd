"""/v1/prices"""

from decimal import Decimal
from typing import Any

from stripe.params import PriceCreateParams, PriceListParams, PriceRetrieveParams, PriceUpdateParams

from sandbox import lists, money
from sandbox.errors import StripeError, missing
from sandbox.params import merge_metadata
from sandbox.routes import route
from sandbox.store import Document
from sandbox.world import World, formats, includes

LONGEST = {"day": 1095, "week": 156, "month": 36, "year": 3}


@route(
    "POST /v1/prices",
    PriceCreateParams,
    "active billing_scheme currency currency_options lookup_key metadata nickname product product_data recurring "
    "tax_behavior tiers tiers_mode transfer_lookup_key transform_quantity unit_amount unit_amount_decimal",
)
def create(world: World, params: dict[str, Any]) -> Document:
    currency, scheme = money.currency(params["currency"]), params.get("billing_scheme", "per_unit")
    if scheme == "tiered" and not params.get("tiers_mode"):
        raise missing("tiers_mode")
    if scheme == "tiered" and params.get("transform_quantity"):
        raise StripeError("`transform_quantity` cannot be combined with `tiers`.", param="transform_quantity")
    price = world.create(
        "price",
        "price_",
        active=params.get("active", True),
        billing_scheme=scheme,
        currency=currency,
        currency_options={
            money.currency(code, f"currency_options[{code}]"): _amounts(option, scheme, f"currency_options[{code}]")
            for code, option in (params.get("currency_options") or {}).items()
        },
        lookup_key=_lookup_key(world, params),
        metadata=merge_metadata({}, params.get("metadata")),
        nickname=params.get("nickname"),
        product=_product(world, params),
        recurring=_recurring(world, params.get("recurring")),
        tax_behavior=params.get("tax_behavior", "unspecified"),
        tiers_mode=params.get("tiers_mode"),
        transform_quantity=params.get("transform_quantity"),
        **_amounts(params, scheme),
    )
    world.emit("price.created", price)
    return price


@route("GET /v1/prices/<id>", PriceRetrieveParams)
def retrieve(world: World, params: dict[str, Any], id: str) -> Document:
    return world.get("price", id)


@route(
    "POST /v1/prices/<id>",
    PriceUpdateParams,
    "active currency_options lookup_key metadata nickname tax_behavior transfer_lookup_key",
)
def update(world: World, params: dict[str, Any], id: str) -> Document:
    price = world.get("price", id)
    changes: dict[str, Any] = {name: params[name] for name in ("active", "nickname", "tax_behavior") if name in params}
    if "lookup_key" in params:
        changes["lookup_key"] = _lookup_key(world, params, price)
    if "metadata" in params:
        changes["metadata"] = merge_metadata(price["metadata"], params["metadata"])
    if "currency_options" in params:
        given = params["currency_options"] or {}
        scheme = price["billing_scheme"]
        options = {code: _amounts(option, scheme, f"currency_options[{code}]") for code, option in given.items()}
        changes["currency_options"] = price["currency_options"] | options
    world.update(price, "price.updated", **changes)
    return price


@route(
    "GET /v1/prices",
    PriceListParams,
    "active created currency ending_before limit lookup_keys product recurring.interval starting_after type",
)
def list_prices(world: World, params: dict[str, Any]) -> lists.Page:
    where, values = lists.created_range(params.get("created"))
    if "type" in params:
        where.append(f"json_extract(document, '$.recurring') IS {'NOT' if params['type'] == 'recurring' else ''} NULL")
    if "interval" in params.get("recurring", {}):
        where.append("json_extract(document, '$.recurring.interval') = ?")
        values.append(params["recurring"]["interval"])
    for name in ("active", "currency"):
        if name in params:
            where.append(f"json_extract(document, '$.{name}') = ?")
            values.append(params[name])
    if "product" in params:
        where.append("product = ?")
        values.append(params["product"])
    if "lookup_keys" in params:
        where.append(f"lookup_key IN ({', '.join('?' for _ in params['lookup_keys'])})")
        values += params["lookup_keys"]
    return lists.cut(world, "price", params, where, values)


@formats("price")
def format_price(world: World, price: Document) -> dict[str, Any]:
    return {
        "id": price["id"],
        "object": "price",
        "active": price["active"],
        "billing_scheme": price["billing_scheme"],
        "created": price["created"],
        "currency": price["currency"],
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": price["lookup_key"],
        "metadata": price["metadata"],
        "nickname": price["nickname"],
        "product": price["product"],
        "recurring": price["recurring"],
        "tax_behavior": price["tax_behavior"],
        "tiers_mode": price["tiers_mode"],
        "transform_quantity": price["transform_quantity"],
        "type": "recurring" if price["recurring"] else "one_time",
        "unit_amount": price["unit_amount"],
        "unit_amount_decimal": price["unit_amount_decimal"],
    }


@includes("price", "currency_options")
def currency_options(world: World, id: str) -> dict[str, Any]:
    price = world.get("price", id)
    own = {price["currency"]: {name: price[name] for name in ("tiers", "unit_amount", "unit_amount_decimal")}}
    more = {"custom_unit_amount": None, "tax_behavior": price["tax_behavior"]}
    options: dict[str, Any] = own | price["currency_options"]
    return {
        code: {name: value for name, value in option.items() if name != "tiers" or value} | more
        for code, option in options.items()
    }


@includes("price", "tiers")
def tiers(world: World, id: str) -> list[dict[str, Any]] | None:
    """Flat prices have none."""
    found: list[dict[str, Any]] | None = world.get("price", id)["tiers"]
    return found


def amounts_in(price: Document, currency: str) -> dict[str, Any] | None:
    """What it costs in a currency: `unit_amount_decimal` or `tiers`; None if the price has no such currency."""
    if currency == price["currency"]:
        return price
    option: dict[str, Any] | None = price["currency_options"].get(currency)
    return option


def unit_amount_in(price: Document, currency: str) -> Decimal | None:
    """What one unit costs in a currency, in its smallest unit; None if it has no such currency or has tiers."""
    amounts = amounts_in(price, currency)
    return Decimal(amounts["unit_amount_decimal"]) if amounts and amounts["unit_amount_decimal"] else None


def is_metered(price: Document) -> bool:
    """Whether usage is charged, when a period is over, instead of a quantity."""
    return bool(price["recurring"] and price["recurring"]["usage_type"] == "metered")


def format_plan(price: Document) -> dict[str, Any]:
    """The older form of a recurring price, which is still sent beside it."""
    return {
        "id": price["id"],
        "object": "plan",
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": price["billing_scheme"],
        "created": price["created"],
        "currency": price["currency"],
        "interval": price["recurring"]["interval"],
        "interval_count": price["recurring"]["interval_count"],
        "livemode": False,
        "metadata": price["metadata"],
        "meter": price["recurring"]["meter"],
        "nickname": price["nickname"],
        "product": price["product"],
        "tiers_mode": price["tiers_mode"],
        "transform_usage": price["transform_quantity"],
        "trial_period_days": None,
        "usage_type": price["recurring"]["usage_type"],
    }


def _amounts(params: dict[str, Any], scheme: str, where: str = "") -> dict[str, Any]:
    if scheme == "tiered":
        param = f"{where}[tiers]" if where else "tiers"
        return {"tiers": _tiers(params.get("tiers"), param), "unit_amount": None, "unit_amount_decimal": None}
    return {"tiers": None, **_unit_amount(params, where)}


def _tiers(given: list[dict[str, Any]] | None, param: str) -> list[dict[str, Any]]:
    """The tiers in their order, the last one without end."""
    if not given:
        raise missing(param)
    ends = [tier["up_to"] for tier in given]
    if ends[-1] != "inf" or any(not isinstance(end, int) for end in ends[:-1]) or ends[:-1] != sorted({*ends[:-1]}):
        text = "Tiers must be in ascending order of `up_to`, and the last one must have `up_to=inf`."
        raise StripeError(text, param=param)
    return [
        {
            **{f"flat_{name}": value for name, value in _decimal(tier, "flat_amount").items()},
            **{f"unit_{name}": value for name, value in _decimal(tier, "unit_amount").items()},
            "up_to": None if tier["up_to"] == "inf" else tier["up_to"],
        }
        for tier in given
    ]


def _decimal(tier: dict[str, Any], name: str) -> dict[str, Any]:
    given = tier.get(name, tier.get(f"{name}_decimal"))
    if given is None:
        return {"amount": None, "amount_decimal": None}
    amount = Decimal(given)
    whole = amount == amount.to_integral_value()
    return {"amount": int(amount) if whole else None, "amount_decimal": f"{amount.normalize():f}"}


def _unit_amount(params: dict[str, Any], where: str) -> dict[str, Any]:
    if ("unit_amount" in params) == ("unit_amount_decimal" in params):
        names = [f"{where}[{n}]" if where else n for n in ("unit_amount", "unit_amount_decimal")]
        if "unit_amount" in params:
            raise StripeError(f"You may only specify one of these parameters: {', '.join(names)}.", param=names[0])
        raise missing(names[0])
    amount = Decimal(params["unit_amount"] if "unit_amount" in params else params["unit_amount_decimal"])
    if amount < 0:
        text = "Invalid non-negative integer"
        raise StripeError(text, code="parameter_invalid_integer", param="unit_amount")
    whole = amount == amount.to_integral_value()
    return {"unit_amount": int(amount) if whole else None, "unit_amount_decimal": f"{amount.normalize():f}"}


def _recurring(world: World, given: dict[str, Any] | None) -> dict[str, Any] | None:
    if given is None:
        return None
    interval, count = given["interval"], given.get("interval_count", 1)
    if not 1 <= count <= LONGEST[interval]:
        text = f"Invalid interval_count: must be between 1 and {LONGEST[interval]} for an interval of {interval}."
        raise StripeError(text, param="recurring[interval_count]")
    return {
        "interval": interval,
        "interval_count": count,
        "meter": _meter(world, given),
        "trial_period_days": given.get("trial_period_days"),
        "usage_type": given.get("usage_type", "licensed"),
    }


def _meter(world: World, given: dict[str, Any]) -> str | None:
    """What a metered price is counted by; others have none."""
    if given.get("usage_type") != "metered":
        if given.get("meter"):
            text = "You may only specify `recurring[meter]` with `recurring[usage_type]=metered`."
            raise StripeError(text, param="recurring[meter]")
        return None
    if not given.get("meter"):
        raise missing("recurring[meter]")
    meter = world.get("billing.meter", given["meter"], "recurring[meter]")
    if meter["status"] != "active":
        raise StripeError(f"The meter `{meter['id']}` is not active.", param="recurring[meter]")
    return str(meter["id"])


def _product(world: World, params: dict[str, Any]) -> str:
    from sandbox.resources import products  # prices and products make each other

    if "product" in params:
        id: str = world.get("product", params["product"], "product")["id"]
        return id
    if "product_data" not in params:
        raise missing("product")
    made: str = products.create(world, params["product_data"])["id"]
    return made


def _lookup_key(world: World, params: dict[str, Any], own: Document | None = None) -> str | None:
    """The key asked for, taken from the price that has it if that is wished."""
    key = params.get("lookup_key")
    if not key:
        return None
    for holder in world.select("price", "lookup_key = ?", (key,)):
        if own is not None and holder["id"] == own["id"]:
            continue
        if not params.get("transfer_lookup_key"):
            raise StripeError(f"A price (`{holder['id']}`) already uses that lookup key.", param="lookup_key")
        world.update(holder, "price.updated", lookup_key=None)
    return str(key)
