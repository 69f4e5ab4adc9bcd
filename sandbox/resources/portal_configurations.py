"""/v1/billing_portal/configurations: what customers may do in the portal."""

from typing import Any

from stripe.params.billing_portal import (
    ConfigurationCreateParams,
    ConfigurationListParams,
    ConfigurationRetrieveParams,
    ConfigurationUpdateParams,
)

from sandbox import lists
from sandbox.errors import StripeError, missing, not_built
from sandbox.params import merge_metadata
from sandbox.routes import route
from sandbox.store import Document
from sandbox.world import World, formats

KIND = "billing_portal.configuration"
REASONS = ["too_expensive", "missing_features", "switched_service", "unused", "other"]
MOST_PRODUCTS, LONGEST_HEADLINE = 10, 60
FEATURES: dict[str, dict[str, Any]] = {
    "customer_update": {"allowed_updates": [], "enabled": False},
    "invoice_history": {"enabled": False},
    "payment_method_update": {"enabled": False, "payment_method_configuration": None},
    "subscription_cancel": {
        "cancellation_reason": {"enabled": False, "feedback_options": None, "options": REASONS},
        "enabled": False,
        "mode": "at_period_end",
        "proration_behavior": "none",
    },
    "subscription_pause": {"duration": {"interval_options": [], "type": "indefinite"}, "enabled": False},
    "subscription_update": {
        "billing_cycle_anchor": None,
        "default_allowed_updates": [],
        "enabled": False,
        "products": [],
        "proration_behavior": "none",
        "schedule_at_period_end": {"conditions": []},
        "trial_update_behavior": "end_trial",
    },
}
BUILT_FEATURES = " ".join(
    f"features.{name}"
    for name in (
        "customer_update",
        "invoice_history",
        "payment_method_update.enabled",
        "subscription_cancel.cancellation_reason.enabled",
        "subscription_cancel.cancellation_reason.options",
        "subscription_cancel.enabled",
        "subscription_cancel.mode",
        "subscription_cancel.proration_behavior",
        "subscription_pause.duration.type",
        "subscription_pause.enabled",
        "subscription_update.default_allowed_updates",
        "subscription_update.enabled",
        "subscription_update.products",
        "subscription_update.proration_behavior",
        "subscription_update.schedule_at_period_end.conditions",
        "subscription_update.trial_update_behavior",
    )
)
BUILT = f"business_profile default_return_url login_page.enabled metadata name {BUILT_FEATURES}"


@route("POST /v1/billing_portal/configurations", ConfigurationCreateParams, BUILT)
def create(world: World, params: dict[str, Any]) -> Document:
    profile = {"headline": None, "privacy_policy_url": None, "terms_of_service_url": None}
    configuration = world.create(
        KIND,
        "bpc_",
        active=True,
        business_profile=_profile(profile, params),
        default_return_url=params.get("default_return_url"),
        features=_features(world, FEATURES, params.get("features") or {}),
        metadata=merge_metadata({}, params.get("metadata")),
        name=params.get("name"),
        updated=world.now(),
    )
    _refuse_login_page(params)
    world.emit(f"{KIND}.created", configuration)
    return configuration


@route("GET /v1/billing_portal/configurations/<id>", ConfigurationRetrieveParams)
def retrieve(world: World, params: dict[str, Any], id: str) -> Document:
    return world.get(KIND, id)


@route("POST /v1/billing_portal/configurations/<id>", ConfigurationUpdateParams, f"active {BUILT}")
def update(world: World, params: dict[str, Any], id: str) -> Document:
    configuration = world.get(KIND, id)
    changes: dict[str, Any] = {n: params[n] for n in ("active", "default_return_url", "name") if n in params}
    changes["business_profile"] = _profile(configuration["business_profile"], params)
    changes["features"] = _features(world, configuration["features"], params.get("features") or {})
    if "metadata" in params:
        changes["metadata"] = merge_metadata(configuration["metadata"], params["metadata"])
    _refuse_login_page(params)
    if any(configuration[name] != value for name, value in changes.items()):
        world.update(configuration, f"{KIND}.updated", **changes, updated=world.now())
    return configuration


@route(
    "GET /v1/billing_portal/configurations",
    ConfigurationListParams,
    "active ending_before is_default limit starting_after",
)
def list_configurations(world: World, params: dict[str, Any]) -> lists.Page:
    if params.get("is_default"):
        return lists.Page([], False)  # the default is made in the Dashboard, which the sandbox has not
    return lists.page(world, KIND, params, active=params.get("active"))


@formats(KIND)
def format_configuration(world: World, configuration: Document) -> dict[str, Any]:
    names = "id object active business_profile created default_return_url features metadata name updated"
    return {name: configuration[name] for name in names.split()} | {
        "application": None,
        "is_default": False,
        "livemode": False,
        "login_page": {"enabled": False, "url": None},
    }


def _profile(old: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    profile = old | params.get("business_profile", {})
    if len(profile["headline"] or "") > LONGEST_HEADLINE:
        text = f"Invalid string: {profile['headline']}; must be at most {LONGEST_HEADLINE} characters"
        raise StripeError(text, param="business_profile[headline]")
    return profile


def _features(world: World, old: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    features = {name: _merged(old[name], given.get(name, {})) for name in FEATURES}
    if features["subscription_pause"]["duration"]["type"] != "indefinite":
        raise not_built("pausing for a time in the portal")
    updating = features["subscription_update"]
    updating["products"] = [_product(world, product, i) for i, product in enumerate(updating["products"])]
    if len(updating["products"]) > MOST_PRODUCTS:
        text = f"You may only specify up to {MOST_PRODUCTS} products."
        raise StripeError(text, param="features[subscription_update][products]")
    if updating["enabled"]:
        for name in ("default_allowed_updates", "products"):
            if not updating[name]:
                raise missing(f"features[subscription_update][{name}]")
    if features["customer_update"]["enabled"] and not features["customer_update"]["allowed_updates"]:
        raise missing("features[customer_update][allowed_updates]")
    return features


def _merged(old: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Hashes are changed name by name, lists as a whole; an unset list is empty."""
    merged = dict(old)
    for name, value in given.items():
        if isinstance(value, dict):
            merged[name] = _merged(old[name], value)
        else:
            merged[name] = [] if value is None and isinstance(old[name], list) else value
    return merged


def _product(world: World, given: dict[str, Any], index: int) -> dict[str, Any]:
    where = f"features[subscription_update][products][{index}]"
    product = world.get("product", given["product"], f"{where}[product]")
    for number, id in enumerate(given["prices"]):
        price = world.get("price", id, f"{where}[prices][{number}]")
        if price["product"] != product["id"] or not price["recurring"]:
            text = f"The price `{id}` must be a recurring price of the product `{product['id']}`."
            raise StripeError(text, param=f"{where}[prices][{number}]")
    adjustable = {"enabled": False, "maximum": None, "minimum": 1} | given.get("adjustable_quantity", {})
    return {"adjustable_quantity": adjustable, "prices": given["prices"], "product": product["id"]}


def _refuse_login_page(params: dict[str, Any]) -> None:
    if params.get("login_page", {}).get("enabled"):
        raise not_built("the portal's log-in page")
