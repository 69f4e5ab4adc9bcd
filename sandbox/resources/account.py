"""GET /v1/account"""

from typing import Any

from stripe.params import AccountRetrieveCurrentParams

from sandbox.routes import route
from sandbox.world import World

NAME, COUNTRY, CURRENCY = "Sandbox", "US", "usd"


@route("GET /v1/account", AccountRetrieveCurrentParams)
def retrieve(world: World, params: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": world.account,
        "object": "account",
        "business_profile": {"name": NAME},
        "capabilities": {"card_payments": "active", "transfers": "active"},
        "charges_enabled": True,
        "country": COUNTRY,
        "default_currency": CURRENCY,
        "details_submitted": True,
        "email": "owner@example.com",
        "payouts_enabled": True,
        "settings": {
            "branding": {"icon": None, "logo": None, "primary_color": None, "secondary_color": None},
            "card_payments": {"statement_descriptor_prefix": None},
            "dashboard": {"display_name": NAME, "timezone": "Etc/UTC"},
            "payments": {
                "statement_descriptor": NAME.upper(),
                "statement_descriptor_kana": None,
                "statement_descriptor_kanji": None,
            },
        },
        "type": "standard",
    }
