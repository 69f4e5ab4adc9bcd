"""Stripe's errors, with Stripe's words."""

from typing import Any

# What Stripe calls a thing that is not there, and the parameter that it blames when the thing was named in the path.
NOUNS = {
    "billing.meter": ("meter", "id"),
    "billing_portal.configuration": ("configuration", "configuration"),
    "charge": ("charge", "id"),
    "coupon": ("coupon", "coupon"),
    "customer": ("customer", "id"),
    "discount": ("discount", "discount"),
    "dispute": ("dispute", "id"),
    "entitlements.active_entitlement": ("active entitlement", "id"),
    "entitlements.feature": ("entitlement feature", "id"),
    "event": ("event", "id"),
    "invoice": ("invoice", "invoice"),
    "invoiceitem": ("invoiceitem", "invoiceitem"),
    "invoice_payment": ("invoice_payment", "id"),
    "mandate": ("mandate", "mandate"),
    "payment_intent": ("payment_intent", "intent"),
    "payment_method": ("PaymentMethod", "payment_method"),
    "price": ("price", "price"),
    "product": ("product", "id"),
    "quote": ("quote", "quote"),
    "promotion_code": ("promotion code", "promotion_code"),
    "refund": ("refund", "id"),
    "setup_intent": ("setupintent", "intent"),
    "subscription": ("subscription", "id"),
    "subscription_item": ("subscription_item", "item"),
    "subscription_schedule": ("subscription_schedule", "schedule"),
    "tax_rate": ("tax rate", "tax_rate"),
    "tax_id": ("tax_id", "id"),
    "test_helpers.test_clock": ("test clock", "test_clock"),
    "webhook_endpoint": ("webhook endpoint", "id"),
}
ON_ANOTHER_ACCOUNT = (
    "; It's possible this PaymentMethod exists on one of your connected accounts, in which case you should retry this "
    "request on that connected account. Learn more at https://stripe.com/docs/connect/authentication"
)


class StripeError(Exception):
    """An answer other than 200. Unless it keeps its changes, the request leaves the state as it was."""

    keeps_changes = False

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        type: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        **details: Any,
    ) -> None:
        super().__init__(message)
        self.message, self.status, self.type, self.code, self.param = message, status, type, code, param
        self.details = details

    def body(self) -> dict[str, Any]:
        """The error object as Stripe writes it: what is absent is left out."""
        named = {"message": self.message, "type": self.type, "code": self.code, "param": self.param, **self.details}
        error = {name: value for name, value in named.items() if value is not None}
        if self.code:
            error["doc_url"] = "https://stripe.com/docs/error-codes/" + self.code.replace("_", "-")
        return {"error": error}


class CardError(StripeError):
    """A card that was refused. What the attempt left behind (a failed charge, its events) stays."""

    keeps_changes = True

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message, status=402, type="card_error", **details)


def no_such(kind: str, id: str, param: str | None = None) -> StripeError:
    """404 for the thing that the path names; 400 for one that a parameter names."""
    noun, path_param = NOUNS.get(kind, (kind, "id"))
    message = f"No such {noun}: '{id}'" + (ON_ANOTHER_ACCOUNT if kind == "payment_method" else "")
    return StripeError(message, status=400 if param else 404, code="resource_missing", param=param or path_param)


def missing(param: str) -> StripeError:
    return StripeError(f"Missing required param: {param}.", code="parameter_missing", param=param)


def too_small(least: int, param: str) -> StripeError:
    text = f"This value must be greater than or equal to {least}."
    return StripeError(text, code="parameter_invalid_integer", param=param)


def not_built(what: str) -> StripeError:
    """Stripe can do this and the sandbox can't yet: said plainly rather than passed over."""
    return StripeError(f"The sandbox does not do this yet, though Stripe does: {what}.", code="sandbox_not_built")
