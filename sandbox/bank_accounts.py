"""Test bank accounts for direct debits: which IBAN or account number does what, and when."""

import dataclasses
from typing import Any

from sandbox.cards import Decline
from sandbox.errors import missing

SOON, LATER = 5, 180  # seconds until the bank tells whether a debit went through


@dataclasses.dataclass(frozen=True)
class Account:
    """One test account, seen as an instrument to pay with."""

    decline: Decline | None = None
    settles_after: int = SOON
    dispute: str = ""
    early_fraud_warning: bool = False
    attaches: bool = True
    refund: str = "succeeded"

    def needs_authentication(self, *, off_session: bool, set_up: bool) -> bool:
        return False


def _failing(failure_code: str, message: str, code: str = "") -> Decline:
    return Decline(code or failure_code, failure_code, message)


CLOSED = _failing("account_closed", "The customer's bank account has been closed.")
NO_ACCOUNT = _failing("no_account", "The customer's bank account could not be located.")
REFER = _failing("refer_to_customer", "The debit was referred to the customer by their bank.")
NOT_AUTHORIZED = _failing(
    "debit_not_authorized", "The customer has notified their bank that this debit was unauthorized."
)
FUNDS = _failing("insufficient_funds", "The customer's account has insufficient funds to cover this payment.")
VOLUME = _failing("charge_exceeds_source_limit", "This payment exceeds the weekly volume limit of the account.")
TRANSACTIONS = _failing(
    "charge_exceeds_weekly_limit",
    "This payment exceeds the weekly number of payments of the account.",
    "charge_exceeds_transaction_limit",
)
GENERIC = _failing(
    "generic_could_not_process", "The payment could not be processed.", "payment_intent_payment_attempt_failed"
)

GOOD = Account()
OUTCOMES = {
    "success": GOOD,
    "successDelayed": Account(settles_after=LATER),
    "failed": Account(GENERIC),
    "failedDelayed": Account(GENERIC, LATER),
    "disputed": Account(dispute="debit_not_authorized"),
    "exceedsWeeklyVolumeLimit": Account(VOLUME),
    "exceedsWeeklyTransactionLimit": Account(TRANSACTIONS),
    "insufficientFunds": Account(FUNDS),
}
IBANS = {
    "AT611904300234573201": "success",
    "AT321904300235473204": "successDelayed",
    "AT861904300235473202": "failed",
    "AT051904300235473205": "failedDelayed",
    "AT591904300235473203": "disputed",
    "AT981904300000343434": "exceedsWeeklyVolumeLimit",
    "AT601904300000121212": "exceedsWeeklyTransactionLimit",
    "AT981904300002222227": "insufficientFunds",
    "FR1420041010050500013M02606": "success",
    "FR3020041010050500013M02609": "successDelayed",
    "FR8420041010050500013M02607": "failed",
    "FR7920041010050500013M02600": "failedDelayed",
    "FR5720041010050500013M02608": "disputed",
    "DE89370400440532013000": "success",
    "DE08370400440532013003": "successDelayed",
    "DE62370400440532013001": "failed",
    "DE78370400440532013004": "failedDelayed",
    "BE62510007547061": "success",
    "BE78510007547064": "successDelayed",
    "BE68539007547034": "failed",
    "BE51510007547065": "failedDelayed",
}
BY_TOKEN = {f"pm_{outcome}_{iban[:2].lower()}": iban for iban, outcome in IBANS.items()}
BECS = {
    "900123456": Account(settles_after=LATER),
    "000123456": GOOD,
    "111111113": Account(CLOSED),
    "111111116": Account(NO_ACCOUNT),
    "222222227": Account(REFER),
    "922222227": Account(REFER, LATER),
    "333333335": Account(NOT_AUTHORIZED),
    "666666660": Account(dispute="debit_not_authorized"),
}


def check_owner(owner: dict[str, Any]) -> None:
    """Raises Stripe's error for an account without a name and an e-mail address."""
    for name in ("name", "email"):
        if not owner.get(name):
            raise missing(f"billing_details[{name}]")


def by_iban(iban: str) -> Account:
    """Any IBAN that is no test account is a good one."""
    return OUTCOMES[IBANS.get(iban, "success")]


def by_becs_number(number: str) -> Account:
    return BECS.get(number, GOOD)


def is_iban(text: str) -> bool:
    """Whether the check digits fit (ISO 7064)."""
    if not (text.isascii() and text.isalnum() and 15 <= len(text) <= 34 and text[:2].isalpha() and text[2:4].isdigit()):
        return False
    return int("".join(str(int(character, 36)) for character in text[4:] + text[:4])) % 97 == 1
