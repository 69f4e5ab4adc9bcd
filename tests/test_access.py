"""The access rule, as a table."""

import re

import pytest
import sqlalchemy as sa

import clock
import db
import sync
from access import DAY, Decision, Standing, access_to, denied, standings_of
from models import Customer, User
from tests import stripe_objects

NOW = 1_800_000_000
OPENS = frozenset({"basic", "premium"})


def standing(status="active", **changes):
    values = {
        "id": "sub_1",
        "status": status,
        "opens": OPENS,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "period_end": NOW + 10 * DAY,
        "first_invoice": "paid",
        "ever_paid": True,
        "unpaid_since": None,
    }
    return Standing(**{**values, **changes})


def ask(*standings, product="basic", **rules):
    return access_to(product, standings, NOW, **{"grace_days": 14, "while_processing": True, **rules})


@pytest.mark.parametrize(
    ("status", "allowed", "reason"),
    [
        ("active", True, "active"),
        ("trialing", True, "trialing"),
        ("past_due", True, "grace"),
        ("incomplete", False, "incomplete"),
        ("incomplete_expired", False, "incomplete_expired"),
        ("unpaid", False, "unpaid"),
        ("paused", False, "paused"),
        ("canceled", False, "canceled"),
        ("a_status_of_next_year", False, "none"),
    ],
)
def test_each_status(status, allowed, reason):
    """Every status of Stripe's has one answer; one that is not known opens nothing."""
    decision = ask(standing(status))

    assert (decision.allowed, decision.reason) == (allowed, reason)


def test_no_subscription_opens_nothing():
    """Nobody gets in for nothing."""
    assert ask().reason == "none"
    assert not ask().allowed


def test_a_plan_opens_only_its_own_products():
    """Basic does not open Premium, and says so."""
    basic = standing(opens=frozenset({"basic"}))

    assert ask(basic, product="basic").allowed
    assert ask(basic, product="premium").reason == "other_product"


def test_any_of_several_subscriptions_will_do():
    """An ended one beside a running one takes nothing away."""
    decision = ask(standing("canceled", id="sub_old"), standing("active", id="sub_new"))

    assert (decision.allowed, decision.subscription_id) == (True, "sub_new")


def test_of_several_that_open_the_longest_counts():
    """A subscription that ends soon does not shorten one that goes on."""
    ends = standing(id="sub_ends", cancel_at=NOW + DAY)

    assert ask(ends, standing(id="sub_stays")).until is None
    assert ask(standing(id="sub_stays"), ends).until is None


@pytest.mark.parametrize(
    ("changes", "until"),
    [
        ({"cancel_at_period_end": True}, NOW + 10 * DAY),
        ({"cancel_at": NOW + 3 * DAY}, NOW + 3 * DAY),
        ({"cancel_at": NOW + 3 * DAY, "cancel_at_period_end": True}, NOW + 3 * DAY),
    ],
)
def test_a_cancel_date_caps_access(changes, until):
    """Who has cancelled stays in until the date, and no longer."""
    decision = ask(standing(**changes))

    assert (decision.allowed, decision.reason, decision.until) == (True, "ends", until)


@pytest.mark.parametrize("cancel_at", [NOW, NOW - 1])
def test_a_cancel_date_that_is_over_closes_even_before_stripe_says_so(cancel_at):
    """The event may be late; the date is not."""
    assert not ask(standing(cancel_at=cancel_at)).allowed


@pytest.mark.parametrize("status", ["incomplete", "unpaid", "paused", "canceled"])
def test_a_cancel_date_never_grants(status):
    """A date in the future opens nothing that the status closes."""
    assert not ask(standing(status, cancel_at=NOW + DAY)).allowed


@pytest.mark.parametrize(
    ("days", "allowed"),
    [(0, True), (13, True), (14, False), (15, False)],
)
def test_past_due_is_open_for_the_grace_days(days, allowed):
    """The grace days run from the oldest unpaid invoice's finalization."""
    decision = ask(standing("past_due", unpaid_since=NOW - days * DAY))

    assert decision.allowed is allowed
    assert decision.until == NOW - days * DAY + 14 * DAY
    assert decision.reason == ("grace" if allowed else "overdue")


def test_past_due_without_its_invoice_yet_is_open():
    """Who may have paid is not locked out because an event is late."""
    assert ask(standing("past_due", unpaid_since=None)).allowed


def test_past_due_and_cancelled_ends_at_the_earlier_date():
    """Grace does not outlast the cancellation."""
    decision = ask(standing("past_due", unpaid_since=NOW, cancel_at=NOW + DAY))

    assert decision.until == NOW + DAY


@pytest.mark.parametrize("first", ["void", "uncollectible"])
def test_active_whose_first_debit_failed_later_is_closed(first):
    """Stripe leaves it active; nothing was ever paid for it."""
    assert ask(standing(first_invoice=first, ever_paid=False)).reason == "never_paid"


def test_active_whose_first_invoice_was_voided_but_a_later_one_paid_is_open():
    """Who has paid is in."""
    assert ask(standing(first_invoice="void", ever_paid=True)).allowed


@pytest.mark.parametrize("setting", [True, False])
def test_while_the_first_payment_is_under_way_the_setting_decides(setting):
    """A bank debit takes days; the shop decides who carries the risk."""
    decision = ask(standing(first_invoice="open", ever_paid=False), while_processing=setting)

    assert decision.allowed is setting


def test_active_whose_invoices_are_not_here_yet_is_open():
    """The subscription's event may come before the invoice's."""
    assert ask(standing(first_invoice=None, ever_paid=False)).allowed


# --- the closed door


@pytest.mark.parametrize(
    ("reason", "links"),
    [("other_product", ["/account/plan", "/account"]), ("none", ["/", "/account"]), ("unpaid", ["/account"])],
)
def test_a_closed_page_offers_what_opens_it(app, reason, links):
    """Another plan, any plan, or the account, and nothing twice."""
    with app.test_request_context("/"):
        page = denied("premium", Decision(allowed=False, reason=reason))

    assert re.findall(r'class="button[^"]*" href="([^"]+)"', page.partition("<main")[2]) == links


# --- from the tables


@pytest.fixture
def two_users(app):
    """Users 1 and 2, customers cus_1 and cus_2; Basic is prod_1."""
    with app.app_context():
        with db.write() as tx:
            for id in (1, 2):
                user = {
                    "id": id,
                    "email": f"{id}@example.com",
                    "active": True,
                    "fs_uniquifier": str(id),
                    "is_staff": False,
                }
                tx.execute(sa.insert(User).values(user))
        write(stripe_objects.product(metadata={"key": "basic"}))
        for id in (1, 2):
            write(stripe_objects.customer(f"cus_{id}"))
            with db.write() as tx:
                tx.execute(sa.update(Customer).where(Customer.id == f"cus_{id}").values(user_id=id))
        yield


def write(obj):
    event = stripe_objects.event(obj, f"{obj['object']}.updated", created=clock.wall())
    sync.event(event, lambda tx: None)


def test_what_others_have_opens_nothing(two_users):
    """Neither of who came before, nor of who came after."""
    write(stripe_objects.subscription("sub_1", "cus_1"))
    theirs = stripe_objects.subscription("sub_2", "cus_2", status="canceled")
    theirs["items"]["data"][0]["id"] = "si_2"
    write(theirs)

    assert [standing.id for standing in standings_of(1)[0]] == ["sub_1"]
    assert [standing.id for standing in standings_of(2)[0]] == ["sub_2"]


def test_the_first_invoice_and_the_oldest_unpaid_one_are_told_apart(two_users):
    """The first tells whether anything was ever paid, the oldest open one when the grace days began."""
    write(stripe_objects.subscription(status="past_due"))
    write(stripe_objects.invoice("in_a", status="void", created=1_000, status_transitions={"finalized_at": 1_000}))
    write(stripe_objects.invoice("in_b", status="open", created=3_000, status_transitions={"finalized_at": 3_000}))
    write(stripe_objects.invoice("in_c", status="open", created=2_000, status_transitions={"finalized_at": 2_000}))

    (standing,) = standings_of(1)[0]

    assert (standing.first_invoice, standing.unpaid_since, standing.ever_paid) == ("void", 2_000, False)


def test_of_several_items_the_earliest_period_end_counts(two_users):
    """A cancellation at the period's end happens then."""
    long = stripe_objects.subscription(cancel_at_period_end=True)
    (item,) = long["items"]["data"]
    long["items"]["data"] = [item, {**item, "id": "si_2", "current_period_end": item["current_period_end"] + DAY}]
    write(long)

    (standing,) = standings_of(1)[0]

    assert standing.period_end == item["current_period_end"]
