"""POST /v1/3ds2/authenticate: the answer that the cardholder gives on the challenge page. Only Stripe.js calls it."""

from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

from typing_extensions import TypedDict

from sandbox.billing import payments, setups
from sandbox.errors import StripeError, no_such
from sandbox.routes import route
from sandbox.world import World


class AuthenticateParams(TypedDict):
    source: str
    outcome: Literal["complete", "fail"]


@route("POST /v1/3ds2/authenticate", AuthenticateParams, "source outcome", publishable=True)
def authenticate(world: World, params: dict[str, Any]) -> dict[str, Any]:
    attempt = world.find(params["source"], "payment_attempt")
    if attempt is None:
        raise no_such("payment_attempt", params["source"], "source")
    intent = world.find(attempt["intent"])
    waiting = intent is not None and intent["status"] == "requires_action" and attempt["outcome"] is None
    if intent is None or not waiting or attempt["id"] not in str(intent["next_action"]):
        raise StripeError("This authentication is over: the payment has moved on since.", param="source")
    passed = params["outcome"] == "complete"
    attempt["outcome"] = params["outcome"]
    world.save(attempt)
    kind = payments if intent["object"] == "payment_intent" else setups
    return_url = (intent["next_action"].get("redirect_to_url") or {}).get("return_url")
    kind.authenticated(world, intent, passed)  # a decline is no failure to authenticate: the intent tells of it
    return {
        "id": attempt["id"].replace("payatt_", "threeds2_"),
        "object": "three_d_secure_2",
        "livemode": False,
        "return_url": _way_back(intent, return_url) if return_url else None,
        "source": attempt["id"],
        "state": "succeeded" if passed else "failed",
    }


def _way_back(intent: dict[str, Any], return_url: str) -> str:
    """The shop's return_url, its own query kept, with what Stripe appends."""
    name = intent["object"]
    status = "succeeded" if intent["status"] == "succeeded" else "failed"
    appended = {name: intent["id"], f"{name}_client_secret": intent["client_secret"], "redirect_status": status}
    url = urlsplit(return_url)
    return url._replace(query=urlencode(parse_qsl(url.query, keep_blank_values=True) + list(appended.items()))).geturl()
