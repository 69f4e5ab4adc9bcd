"""python -m sandbox trigger: make an event happen, by the API calls that cause it. Others happen on the way."""

import http.client
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode, urlsplit

from sandbox import API_VERSION
from sandbox.api import SECRET_KEY

# Calls that fixtures share. $name is the id of what that call made (it is made first if need be), or a variable.
CALLS = {
    "customer": "POST customers description=created-by-trigger",
    "attached": "POST payment_methods/$method/attach customer=$customer",
    "payer": "POST customers/$customer invoice_settings[default_payment_method]=$attached",
    "product": "POST products name=myproduct",
    "price": "POST prices product=$product currency=usd unit_amount=1500 recurring[interval]=month",
    "subscription": "POST subscriptions customer=$payer items[0][price]=$price",
    "item": "POST invoiceitems customer=$payer amount=2000 currency=usd description=created-by-trigger",
    "invoice": "POST invoices customer=$payer pending_invoice_items_behavior=include metadata[item]=$item",
    "finalized": "POST invoices/$invoice/finalize",
    "intent": "POST payment_intents amount=2000 currency=usd",
    "payment": "POST payment_intents amount=2000 currency=usd payment_method=$method confirm=true",
    "account": "POST payment_methods type=sepa_debit sepa_debit[iban]=AT321904300235473204 "
    "billing_details[name]=Jenny billing_details[email]=jenny.rosen@example.com",
    "debit": "POST payment_intents amount=1000 currency=eur payment_method=$account confirm=true "
    "mandate_data[customer_acceptance][type]=offline",
    "held": "POST payment_intents amount=2000 currency=usd payment_method=$method confirm=true capture_method=manual",
    "refund": "POST refunds payment_intent=$payment",
    "setup": "POST setup_intents customer=$customer",
    "set_up": "POST setup_intents/$setup/confirm payment_method=$method",
    "coupon": "POST coupons duration=repeating duration_in_months=3 percent_off=25",
    "code": "POST promotion_codes promotion[type]=coupon promotion[coupon]=$coupon",
    "discounted": "POST subscriptions customer=$payer items[0][price]=$price discounts[0][coupon]=$coupon",
    "quote": "POST quotes customer=$payer line_items[0][price]=$price line_items[0][quantity]=1",
    "open_quote": "POST quotes/$quote/finalize",
    "schedule": "POST subscription_schedules from_subscription=$subscription",
    "clock": "POST test_helpers/test_clocks frozen_time=1700000000",
    "advanced": "POST test_helpers/test_clocks/$clock/advance frozen_time=1700086400",
    "timed": "POST customers test_clock=$clock",
    "timed_method": "POST payment_methods/$method/attach customer=$timed",
    "timed_payer": "POST customers/$timed invoice_settings[default_payment_method]=$timed_method",
    "timed_schedule": "POST subscription_schedules customer=$timed_payer start_date=now end_behavior=cancel "
    "phases[0][items][0][price]=$price phases[0][duration][interval]=month",
    "portal": "POST billing_portal/configurations features[invoice_history][enabled]=true",
    "visit": "POST billing_portal/sessions customer=$customer configuration=$portal",
}
FAILING = "method=pm_card_chargeCustomerFail"
DECLINED = "method=pm_card_chargeDeclined"
ASKING = "method=pm_card_threeDSecure2Required"
NO_METHOD = "payer=$customer"
CHANGED = "metadata[foo]=bar"
# What is done for an event, one step after the other: a variable is set, a shared call is made (with more parameters,
# if given), or a call that is written out. A question mark: it is meant to be refused with 402.
FIXTURES: dict[str, tuple[str, ...]] = {
    "customer.subscription.created": ("subscription",),
    "customer.subscription.updated": (f"POST subscriptions/$subscription {CHANGED}",),
    "customer.subscription.deleted": ("DELETE subscriptions/$subscription",),
    "customer.subscription.trial_will_end": (NO_METHOD, "subscription trial_period_days=1"),
    "customer.subscription.paused": (
        NO_METHOD,
        "subscription trial_period_days=7 trial_settings[end_behavior][missing_payment_method]=pause",
        "POST subscriptions/$subscription trial_end=now",
    ),
    "subscription.payment_succeeded": ("subscription",),
    "subscription.payment_failed": (FAILING, "subscription"),
    "invoice.created": (NO_METHOD, "invoice"),
    "invoice.updated": (NO_METHOD, f"POST invoices/$invoice {CHANGED}"),
    "invoice.finalized": (NO_METHOD, "finalized"),
    "invoice.paid": ("POST invoices/$invoice/pay",),
    "invoice.payment_succeeded": ("POST invoices/$invoice/pay",),
    "invoice_payment.paid": ("POST invoices/$invoice/pay",),
    "invoice.payment_failed": (FAILING, "?POST invoices/$invoice/pay"),
    "invoice.payment_action_required": (ASKING, "?POST invoices/$invoice/pay"),
    "invoice.voided": (NO_METHOD, "POST invoices/$finalized/void"),
    "invoice.marked_uncollectible": (NO_METHOD, "POST invoices/$finalized/mark_uncollectible"),
    "invoice.sent": (
        NO_METHOD,
        "invoice collection_method=send_invoice days_until_due=30",
        "POST invoices/$invoice/send",
    ),
    "invoice.deleted": (NO_METHOD, "DELETE invoices/$invoice"),
    "invoiceitem.created": (NO_METHOD, "item"),
    "invoiceitem.deleted": (NO_METHOD, "DELETE invoiceitems/$item"),
    "payment_intent.created": ("intent",),
    "payment_intent.succeeded": ("payment",),
    "payment_intent.payment_failed": (DECLINED, "?payment"),
    "payment_intent.requires_action": ("method=pm_card_authenticationRequired", "payment"),
    "payment_intent.processing": ("debit",),
    "payment_intent.amount_capturable_updated": ("held",),
    "payment_intent.canceled": ("POST payment_intents/$intent/cancel",),
    "mandate.updated": ("debit",),
    "charge.pending": ("debit",),
    "charge.succeeded": ("payment",),
    "charge.failed": (DECLINED, "?payment"),
    "charge.captured": ("POST payment_intents/$held/capture",),
    "charge.updated": (f"POST charges/$payment.latest_charge {CHANGED}",),
    "charge.refunded": ("refund",),
    "charge.refund.updated": ("method=pm_card_refundFail", "refund"),
    "charge.dispute.created": ("method=pm_card_createDisputeInquiry", "payment"),
    "refund.created": ("refund",),
    "refund.updated": (f"POST refunds/$refund {CHANGED}",),
    "refund.failed": ("method=pm_card_refundFail", "refund"),
    "setup_intent.created": ("setup",),
    "setup_intent.succeeded": ("set_up",),
    "setup_intent.setup_failed": (DECLINED, "?set_up"),
    "setup_intent.requires_action": (ASKING, "set_up"),
    "setup_intent.canceled": ("POST setup_intents/$setup/cancel",),
    "payment_method.attached": ("attached",),
    "payment_method.updated": ("POST payment_methods/$attached billing_details[name]=Jenny",),
    "payment_method.detached": ("POST payment_methods/$attached/detach",),
    "customer.created": ("customer",),
    "customer.updated": (f"POST customers/$customer {CHANGED}",),
    "customer.deleted": ("DELETE customers/$customer",),
    "customer.discount.created": ("discounted",),
    "customer.discount.deleted": ("POST subscriptions/$discounted discounts=",),
    "product.created": ("product",),
    "product.updated": (f"POST products/$product {CHANGED}",),
    "product.deleted": ("DELETE products/$product",),
    "price.created": ("price",),
    "price.updated": (f"POST prices/$price {CHANGED}",),
    "coupon.created": ("coupon",),
    "coupon.updated": (f"POST coupons/$coupon {CHANGED}",),
    "coupon.deleted": ("DELETE coupons/$coupon",),
    "promotion_code.created": ("code",),
    "promotion_code.updated": (f"POST promotion_codes/$code {CHANGED}",),
    "quote.created": ("quote",),
    "quote.finalized": ("open_quote",),
    "quote.accepted": ("POST quotes/$open_quote/accept",),
    "quote.canceled": ("POST quotes/$quote/cancel",),
    "subscription_schedule.created": ("schedule",),
    "subscription_schedule.updated": (f"POST subscription_schedules/$schedule {CHANGED}",),
    "subscription_schedule.expiring": (
        "timed_schedule",
        "POST test_helpers/test_clocks/$clock/advance frozen_time=1702000000",
    ),
    "subscription_schedule.completed": (
        "timed_schedule",
        "POST test_helpers/test_clocks/$clock/advance frozen_time=1702600000",
    ),
    "subscription_schedule.canceled": ("POST subscription_schedules/$schedule/cancel",),
    "subscription_schedule.released": ("POST subscription_schedules/$schedule/release",),
    "test_helpers.test_clock.created": ("clock",),
    "test_helpers.test_clock.advancing": ("advanced",),
    "test_helpers.test_clock.ready": ("advanced",),
    "test_helpers.test_clock.deleted": ("DELETE test_helpers/test_clocks/$clock",),
    "billing_portal.configuration.created": ("portal",),
    "billing_portal.configuration.updated": (f"POST billing_portal/configurations/$portal {CHANGED}",),
    "billing_portal.session.created": ("visit",),
}


class Refused(Exception):
    """The sandbox answered with an error."""


class Trigger:
    """Carries out fixtures against the sandbox at `url`, and says each call to `say`."""

    def __init__(self, url: str, say: Callable[[str], None]) -> None:
        self.netloc, self.say = urlsplit(url).netloc, say
        self.made: dict[str, Any] = {}
        self.variables: dict[str, str] = {}

    def fire(self, event: str) -> None:
        """Raises Refused when a call fails that was not meant to, OSError when nobody answers."""
        self.made, self.variables = {}, {"method": "pm_card_visa"}
        for step in FIXTURES[event]:
            variable = re.fullmatch(r"(\w+)=(\S+)", step)
            if variable:
                self.variables[variable[1]] = variable[2]
            else:
                self._call(step.lstrip("?"), may_fail=step.startswith("?"))

    def _call(self, step: str, *, may_fail: bool = False) -> Any:
        name, _, more = step.partition(" ")
        known = CALLS.get(name)
        method, path, *given = f"{known} {more}".split() if known else step.split()
        pairs = [pair.partition("=")[::2] for pair in given]
        form = urlencode([(key, self._filled_in(value)) for key, value in pairs])
        made = self._request(method, "/v1/" + self._filled_in(path), form, may_fail=may_fail)
        if known:
            self.made[name] = made
        return made

    def _filled_in(self, text: str) -> str:
        return re.sub(r"\$(\w+)(?:\.(\w+))?", lambda found: self._value(found[1], found[2] or "id"), text)

    def _value(self, name: str, field: str) -> str:
        if name in self.variables:
            return self._filled_in(self.variables[name])
        if name not in self.made:
            self._call(name)
        return str(self.made[name][field])

    def _request(self, method: str, path: str, form: str, *, may_fail: bool) -> Any:
        headers = {
            "Authorization": f"Bearer {SECRET_KEY}",
            "Content-Type": "application/x-www-form-urlencoded",
            "Stripe-Version": API_VERSION,
        }
        connection = http.client.HTTPConnection(self.netloc, timeout=60)
        try:
            connection.request(method, path, form, headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        self.say(f"{method} {path} [{response.status}]")
        if response.status != 200 and not (may_fail and response.status == 402):
            raise Refused(f"{method} {path}: {answer['error']['message']}")
        return answer
