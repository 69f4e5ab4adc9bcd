"""Currencies and amounts."""

from decimal import ROUND_HALF_UP, Decimal

from sandbox.errors import StripeError

_CURRENCIES = (
    "usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bif bmd bnd bob brl bsd bwp byn bzd cad cdf chf "
    "clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd hnl htg huf idr "
    "ils inr isk jmd jpy kes kgs khr kmf krw kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk "
    "mxn myr mzn nad ngn nio nok npr nzd pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp "
    "sle sos srd std szl thb tjs top try ttd twd tzs uah ugx uyu uzs vnd vuv wst xaf xcd xcg xof xpf yer zar zmw "
)
CURRENCIES = tuple(_CURRENCIES.split())
_ZERO_DECIMAL = "bif clp djf gnf jpy kmf krw mga pyg rwf ugx vnd vuv xaf xof xpf"
ZERO_DECIMAL = frozenset(_ZERO_DECIMAL.split())
SYMBOLS = {"usd": "$", "eur": "€", "gbp": "£", "aud": "A$", "jpy": "¥", "cad": "CA$", "nzd": "NZ$", "inr": "₹"}
MOST = 99_999_999
LEAST = {"usd": 50, "eur": 50, "aud": 50, "gbp": 30, "jpy": 50, "cad": 50, "chf": 50, "sek": 300, "nok": 300}


def currency(code: str, param: str = "currency") -> str:
    """The code in lower case. Raises Stripe's error for one that does not exist."""
    if code.lower() not in CURRENCIES:
        listed = ", ".join(CURRENCIES)
        text = f"Invalid currency: {code.lower()}. Stripe currently supports these currencies: {listed}"
        raise StripeError(text, param=param)
    return code.lower()


def check_most(amount: int | Decimal, code: str, param: str) -> None:
    """Raises Stripe's error for more than can be charged."""
    if amount > MOST:
        text = f"Amount must be no more than {shown(MOST, code)}"
        raise StripeError(text, code="amount_too_large", param=param)


def rounded(amount: Decimal) -> int:
    """To the smallest unit; the only place that decides about ties (half up, away from zero)."""
    return int(amount.quantize(Decimal(1), ROUND_HALF_UP))


def spread(total: int, weights: list[int]) -> list[int]:
    """Divide an amount in proportion, so that the parts add up to it; what rounding leaves over goes to the largest."""
    whole = sum(weights)
    parts = [rounded(Decimal(total) * weight / whole) if whole else 0 for weight in weights]
    if whole:
        parts[weights.index(max(weights))] += total - sum(parts)
    return parts


def shown(amount: int | Decimal, code: str) -> str:
    """As line texts have it: $5.00, ¥500; parts of the smallest unit too, $0.005."""
    least = 0 if code in ZERO_DECIMAL else 2
    exact = (Decimal(amount) / 10**least).normalize()
    places = max(least, -int(exact.as_tuple().exponent))
    number = f"{exact:,.{places}f}"
    return f"{SYMBOLS[code]}{number}" if code in SYMBOLS else f"{number} {code.upper()}"
