"""Judges requests and answers by the types inside stripe-python."""

from contract.stripe_requests import STRIPE_JS_PARAMS, find_route, request_violations, response_violations
from sandbox.api import PUBLISHABLE_KEY, Answer, Call, api_key

# Stripe counts the lists inside objects, as recordings show, though the SDK's ListObject does not say so.
# And the invoice of invoice.upcoming has no id, as its documentation says.
# And an empty value unsets a customer's texts.
# And searches count what they found when that is expanded.
RECORDED = (
    "total_count: unknown field of ListObject",
    "data.object.id: missing",
    "'total_count' cannot be expanded",
    *(f"{name}: may not be empty" for name in ("description", "email", "name", "phone")),
)


def violations(call: Call, answer: Answer) -> list[str]:
    """What is wrong with a request that was accepted, and with its answer. Routes of Stripe.js alone have no types."""
    if find_route(call.method, call.path) is None or answer.file is not None:
        return []
    publishable = api_key(call.headers, call.form) == PUBLISHABLE_KEY
    found = response_violations(call.method, call.path, answer.body, partial=publishable)
    if answer.status == 200:
        form = {**call.form}
        if publishable:  # the server SDKs have no words for the card that Stripe.js sends here
            form.pop("payment_method_data", None)
        allowed = STRIPE_JS_PARAMS if publishable else ()
        found += request_violations(call.method, call.path, form, allow=allowed)
    if call.path.startswith("/v1/events"):  # an event's object is as it was then: asking for more is passed over
        found = [violation for violation in found if not violation.endswith("cannot be expanded")]
    found = [violation for violation in found if not violation.endswith(RECORDED)]
    return [f"{call.method} {call.path} ({answer.status}): {violation}" for violation in found]
