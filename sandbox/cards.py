"""Stripe's test cards: which number does what."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Decline:
    """Why a bank says no, in Stripe's words."""

    code: str
    decline_code: str
    message: str
    network_decline_code: str | None = None
    advice_code: str | None = None
    network_advice_code: str | None = None
    param: str | None = None

    def details(self) -> dict[str, Any]:
        """The fields of an error object, without those that are absent."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}


@dataclasses.dataclass(frozen=True)
class Card:
    """One test card. authentication says which payments need 3D Secure: see needs_authentication."""

    number: str
    tokens: tuple[str, ...] = ()
    brand: str = "visa"
    country: str = "US"
    funding: str = "credit"
    decline: Decline | None = None
    attaches: bool = True  # a card that is declined can't even be attached, with one exception
    authentication: str = ""
    cvc_check: str = "pass"
    line1_check: str = "pass"
    postal_code_check: str = "pass"
    refund: str = "succeeded"
    dispute: str = ""  # why the cardholder wants the money back, soon after a payment
    early_fraud_warning: bool = False
    settles_after: int | None = None  # seconds until the bank tells; None: it tells at once

    @property
    def last4(self) -> str:
        return self.number[-4:]

    def needs_authentication(self, *, off_session: bool, set_up: bool) -> bool:
        """Whether a payment needs the cardholder. set_up: they agreed to payments in their absence before."""
        if not off_session:
            return bool(self.authentication)
        return self.authentication == "always" or (self.authentication == "unless_set_up" and not set_up)


def _declined(code: str, decline_code: str, message: str, network: str, advice: str, more: str = "", param: str = ""):
    return Decline(code, decline_code, message, network, advice, more or None, param or None)


GENERIC_MESSAGE = "Your card was declined."
GENERIC = _declined("card_declined", "generic_decline", GENERIC_MESSAGE, "01", "try_again_later")
FUNDS = _declined(
    "card_declined", "insufficient_funds", "Your card has insufficient funds.", "51", "try_again_later", "02"
)
LOST = _declined("card_declined", "lost_card", GENERIC_MESSAGE, "41", "do_not_try_again", "01")
STOLEN = _declined("card_declined", "stolen_card", GENERIC_MESSAGE, "43", "do_not_try_again", "01")
VELOCITY = _declined(
    "card_declined",
    "card_velocity_exceeded",
    "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
    "61",
    "try_again_later",
    "02",
)
EXPIRED = _declined(
    "expired_card", "expired_card", "Your card has expired.", "54", "confirm_card_data", "03", "exp_month"
)
WRONG_CVC = _declined(
    "incorrect_cvc",
    "incorrect_cvc",
    "Your card's security code is incorrect.",
    "N7",
    "confirm_card_data",
    "03",
    "cvc",
)
PROCESSING = _declined(
    "processing_error",
    "processing_error",
    "An error occurred while processing your card. Try again in a little bit.",
    "06",
    "try_again_later",
)
FRAUDULENT = _declined("card_declined", "fraudulent", GENERIC_MESSAGE, "59", "do_not_try_again", "01")
NOT_A_TEST_CARD = _declined(
    "card_declined",
    "test_mode_live_card",
    "Your card was declined. Your request was in test mode, but used a non test (live) card. For a list of valid test "
    "cards, visit: https://stripe.com/docs/testing.",
    "01",
    "do_not_try_again",
)

CARDS = (
    Card("4242424242424242", ("visa",)),
    Card("4000056655665556", ("visa_debit",), funding="debit"),
    Card("5555555555554444", ("mastercard",), "mastercard"),
    Card("2223003122003222", (), "mastercard"),
    Card("5200828282828210", ("mastercard_debit",), "mastercard", funding="debit"),
    Card("5105105105105100", ("mastercard_prepaid",), "mastercard", funding="prepaid"),
    Card("371449635398431", ("amex",), "amex"),
    Card("378282246310005", (), "amex"),
    Card("6011000990139424", ("discover",), "discover"),
    Card("6011111111111117", (), "discover"),
    Card("6011981111111113", (), "discover", funding="debit"),
    Card("3056930009020004", ("diners",), "diners"),
    Card("36227206271667", (), "diners"),
    Card("3566002020360505", ("jcb",), "jcb", "JP"),
    Card("6200000000000005", ("unionpay",), "unionpay", "CN"),
    Card("6205500000000000004", (), "unionpay", "CN"),
    Card("4000002500001001", ("visa_cartesBancaires",), country="FR"),
    Card("5555552500001001", ("mastercard_cartesBancaires",), "mastercard", "FR"),
    Card("4000002500000003", ("fr",), country="FR"),
    Card("4000002760000016", ("de",), country="DE"),
    Card("4000008260000000", ("gb",), country="GB"),
    Card("4000001240000000", ("ca",), country="CA"),
    Card("4000000760000002", ("br",), country="BR"),
    Card("4000000360000006", ("au",), country="AU"),
    # 3D Secure
    Card(
        "4000002500003155",
        ("authenticationRequiredOnSetup",),
        country="FR",
        authentication="unless_set_up",
    ),
    Card("4000002760003184", ("authenticationRequired",), country="DE", authentication="always"),
    Card(
        "4000003800000446",
        ("authenticationRequiredSetupForOffSession",),
        country="FI",
        authentication="on_session",
    ),
    Card(
        "4000008260003178",
        ("authenticationRequiredChargeDeclinedInsufficientFunds",),
        country="GB",
        authentication="always",
        decline=FUNDS,
    ),
    Card("4000000000003220", ("threeDSecure2Required",), authentication="unless_set_up"),
    Card("4000008400001629", (), authentication="unless_set_up", decline=GENERIC),
    Card("4000000000003055", ("threeDSecureOptional",)),
    # Declines
    Card("4000000000000002", ("visa_chargeDeclined", "chargeDeclined"), decline=GENERIC, attaches=False),
    Card("4000000000009995", ("visa_chargeDeclinedInsufficientFunds",), decline=FUNDS, attaches=False),
    Card("4000000000009987", ("visa_chargeDeclinedLostCard",), decline=LOST, attaches=False),
    Card("4000000000009979", ("visa_chargeDeclinedStolenCard",), decline=STOLEN, attaches=False),
    Card("4000000000006975", ("visa_chargeDeclinedVelocityLimitExceeded",), decline=VELOCITY, attaches=False),
    Card("4000000000000069", ("chargeDeclinedExpiredCard",), decline=EXPIRED, attaches=False),
    Card(
        "4000000000000127",
        ("chargeDeclinedIncorrectCvc",),
        decline=WRONG_CVC,
        attaches=False,
        cvc_check="fail",
    ),
    Card("4000000000000119", ("chargeDeclinedProcessingError",), decline=PROCESSING, attaches=False),
    Card("4000000000000341", ("chargeCustomerFail",), decline=GENERIC),
    Card("4100000000000019", ("radarBlock",), decline=FRAUDULENT, attaches=False),
    # Refunds and checks
    Card("4000000000007726", ("pendingRefund",), refund="pending"),
    Card("4000000000005126", ("refundFail",), refund="failed"),
    Card("4000000000000077", ("bypassPending",)),
    Card("4000000000000101", ("cvcCheckFail",), cvc_check="fail"),
    Card("4000000000000036", ("avsZipFail",), postal_code_check="fail"),
    Card("4000000000000028", ("avsLine1Fail",), line1_check="fail"),
    Card("4000000000000010", ("avsFail",), postal_code_check="fail", line1_check="fail"),
    Card("4000000000000044", ("avsUnchecked",), postal_code_check="unavailable", line1_check="unavailable"),
    # Disputes
    Card("4000000000000259", ("createDispute",), dispute="fraudulent"),
    Card("4000000000002685", ("createDisputeProductNotReceived",), dispute="product_not_received"),
    Card("4000000000001976", ("createDisputeInquiry",), dispute="inquiry"),
    Card("4000000404000079", ("createMultipleDisputes",), dispute="several"),
    Card("4000000000005423", ("createIssuerFraudRecord",), early_fraud_warning=True),
)
BY_NUMBER = {card.number: card for card in CARDS}
BY_TOKEN = {f"pm_card_{token}": card for card in CARDS for token in card.tokens}


def card_of(number: str) -> Card:
    """The test card of that number; any other number is a card that is declined."""
    return BY_NUMBER.get(number) or Card(number, brand=brand_of(number), decline=NOT_A_TEST_CARD, attaches=False)


def brand_of(number: str) -> str:
    if number[:2] in ("34", "37"):
        return "amex"
    return {"3": "diners", "4": "visa", "5": "mastercard", "2": "mastercard", "6": "discover"}.get(
        number[:1], "unknown"
    )


def passes_luhn(number: str) -> bool:
    """The check that every card number fulfils."""
    digits = [int(digit) for digit in reversed(number)]
    doubled = [digit * 2 - 9 if digit > 4 else digit * 2 for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0
