"""`flask sync`: whatever was lost, our tables equal Stripe's afterwards, and the report says what did not."""

import os
import subprocess
import sys

import pytest
import sqlalchemy as sa
import stripe

import billing
import config
import db
import drift
import pace
import reconcile
import sync
from copies import READERS
from models import (
    Customer,
    Entitlements,
    Invoice,
    Outbox,
    PaymentMethod,
    Subscription,
    SubscriptionItem,
    SyncRun,
    WebhookEvent,
)
from tests.conftest import SETTINGS
from tests.sandbox.acts import advance_clock
from tests.shop import pay

LISTED = ("product", "price", "customer", "subscription", "invoice")


@pytest.fixture
def alice(shop):
    """Somebody who pays for Premium since an hour."""
    alice = shop.member()
    alice.subscription = alice.subscribe()["subscriptionId"]
    pay(shop.sandbox, alice.subscribe()["clientSecret"])
    shop.settle()
    (alice.customer,) = [row["id"] for row in shop.rows(Customer)]
    shop.sandbox.advance(hours=1)
    shop.settle()
    return alice


def lose_events(shop):
    shop.sandbox.post("deliveries", {"mode": "drop"})


def flask(shop, *words):
    """Run a command; every line it says, and its exit status."""
    result = shop.app.test_cli_runner().invoke(args=words)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result.output, result.exit_code


def differences(shop):
    """Where our rows are not what Stripe says now, by questions of this test's own."""
    found = []
    v1 = shop.sandbox.client.v1
    with shop.app.app_context():
        customers = set(db.session.scalars(sa.select(Customer.id)))
        objects = [*v1.products.list({"limit": 100}).data, *v1.customers.list({"limit": 100}).data]
        objects += v1.prices.list({"limit": 100, "expand": ["data.currency_options"]}).data
        objects += v1.subscriptions.list({"limit": 100, "status": "all"}).data
        objects += v1.invoices.list({"limit": 100}).data
        for id in customers:
            try:
                objects += v1.customers.payment_methods.list(id, {"limit": 100}).data
            except stripe.InvalidRequestError:
                continue  # deleted
        for obj in (one.to_dict() for one in objects):
            owner = obj["id"] if obj["object"] == "customer" else obj.get("customer")
            if owner not in customers and obj["object"] not in sync.CATALOGUE:
                continue
            held = sync.hold(READERS[obj["object"]][0], obj["id"])
            outcome, columns = drift.difference(held, sync.read(obj))
            if outcome != "equal":
                found.append((obj["id"], outcome, columns))
    return found


def everything_of_ours(shop):
    return [shop.rows(model) for model in (*(READERS[kind][0] for kind in LISTED), PaymentMethod, SubscriptionItem)]


# --- everything


def test_every_kind_of_copy_is_looked_at():
    """Who adds a table adds it here."""
    assert set(reconcile.KINDS) == set(READERS)


def test_nothing_lost_is_no_drift(shop, alice):
    """Status 0, and each kind is counted."""
    output, status = flask(shop, "sync")

    assert status == 0, output
    assert "No drift" in output
    assert "subscription: 1 equal" in output.splitlines()
    assert "payment_method: 1 equal" in output.splitlines()
    assert shop.rows(SyncRun) == []


def test_what_was_lost_is_found_named_and_put_right(shop, alice):
    """A renewal and a cancellation of which no event came."""
    lose_events(shop)
    shop.sandbox.advance(days=32)
    shop.sandbox.client.v1.subscriptions.cancel(alice.subscription)
    assert differences(shop)

    output, status = flask(shop, "sync")

    assert status == 1, output
    assert differences(shop) == []
    (line,) = [line for line in output.splitlines() if line.strip().startswith(f"subscription {alice.subscription}")]
    assert "corrected: " in line
    assert {"status", "items", "ended_at"} <= set(line.split(": ")[1].split(", "))
    assert "1 missing here" in output
    assert flask(shop, "sync")[1] == 0


def test_a_dry_run_tells_the_same_and_writes_nothing(shop, alice):
    """Neither here nor at Stripe."""
    lose_events(shop)
    shop.sandbox.advance(days=32)
    shop.sandbox.client.v1.subscriptions.cancel(alice.subscription)
    before = everything_of_ours(shop)
    mark = shop.sandbox.mark()

    output, status = flask(shop, "sync", "--dry-run")

    assert status == 1
    assert f"subscription {alice.subscription} different: " in output
    assert "1 missing here" in output
    assert "Nothing was written" in output
    assert everything_of_ours(shop) == before
    assert shop.rows(SyncRun) == []
    assert shop.sandbox.events(since=mark) == []


def test_a_dry_run_sees_what_a_run_puts_right(shop, alice):
    """The same rows, by kind and id."""
    lose_events(shop)
    shop.sandbox.advance(days=32)
    shop.sandbox.client.v1.customers.update(alice.customer, {"name": "Alice"})

    dry = {line.split()[1] for line in flask(shop, "sync", "--dry-run")[0].splitlines() if line.startswith("  ")}
    wet = {line.split()[1] for line in flask(shop, "sync")[0].splitlines() if line.startswith("  ")}

    assert dry == wet != set()


def test_pages_are_followed_to_the_end(shop, alice, monkeypatch):
    """With two objects on a page."""
    lose_events(shop)
    for _ in range(3):
        shop.sandbox.advance(days=31)
    monkeypatch.setattr(billing, "PAGE", 2)

    output, status = flask(shop, "sync")

    assert status == 1
    assert differences(shop) == []
    assert "invoice: 1 equal, 3 missing here" in output


def test_a_row_that_stripe_does_not_have_is_gone(shop, alice):
    """A subscription counts as canceled then."""
    with shop.app.app_context(), db.write() as tx:
        row = dict(tx.execute(sa.select(Subscription.__table__)).mappings().one())
        tx.execute(sa.insert(Subscription).values(row | {"id": "sub_never", "known_from": 1, "known_to": 1}))

    output, status = flask(shop, "sync")

    assert status == 1
    assert "subscription sub_never gone at Stripe" in output
    (gone,) = [row for row in shop.rows(Subscription) if row["id"] == "sub_never"]
    assert gone["deleted_at"]
    assert gone["status"] == "canceled"
    assert flask(shop, "sync")[1] == 0


def test_a_customer_deleted_at_stripe_is_gone_with_the_subscription(shop, alice):
    """No list shows them."""
    lose_events(shop)
    shop.sandbox.client.v1.customers.delete(alice.customer)

    output, status = flask(shop, "sync")

    assert status == 1
    assert f"customer {alice.customer} gone at Stripe" in output
    assert [row["status"] for row in shop.rows(Subscription)] == ["canceled"]
    assert flask(shop, "sync")[1] == 0


def test_other_customers_of_the_account_are_none_of_ours(shop, alice):
    """A shop may share its Stripe account."""
    v1 = shop.sandbox.client.v1
    stranger = v1.customers.create({"email": "stranger@example.com"})
    shop.settle()

    output, status = flask(shop, "sync")

    assert status == 0
    assert stranger.id not in output
    assert [row["id"] for row in shop.rows(Customer)] == [alice.customer]


def test_a_customer_that_we_forgot_becomes_ours_again(shop, alice):
    """With all that is theirs; as after a restored backup."""
    with shop.app.app_context(), db.write() as tx:
        for model in (SubscriptionItem, Subscription, Invoice, PaymentMethod, Customer):
            tx.execute(sa.delete(model))

    dry_output, _ = flask(shop, "sync", "--dry-run")
    output, status = flask(shop, "sync")

    assert status == 1
    assert f"customer {alice.customer} missing here" in output
    assert f"subscription {alice.subscription} missing here" in dry_output
    assert alice.may_see("premium")
    assert differences(shop) == []


@pytest.mark.parametrize(("user_id", "told"), [("99", True), ("1", True), ("9" * 40, True), ("x", False), ("²", False)])
def test_a_customer_without_an_account_here_is_told_and_left_alone(shop, alice, user_id, told):
    """Whose account is gone, or was another's; it is no drift, since it can't be put right."""
    other = shop.sandbox.client.v1.customers.create({"email": "bob@example.com", "metadata": {"user_id": user_id}})
    shop.settle()

    output, status = flask(shop, "sync")

    assert status == 0
    assert (other.id in output) == told
    assert [row["id"] for row in shop.rows(Customer)] == [alice.customer]


def test_the_report_names_no_more_rows_than_asked_for(shop, alice):
    """The rest is counted."""
    lose_events(shop)
    shop.sandbox.advance(days=32)
    shop.sandbox.client.v1.customers.update(alice.customer, {"name": "Alice"})

    output, _ = flask(shop, "sync", "--lines", "1")

    assert len([line for line in output.splitlines() if line.startswith("  ") and "and" not in line]) == 1
    assert "more" in output


# --- what happens meanwhile


def test_a_page_never_overwrites_what_came_after_it(shop, alice, monkeypatch):
    """The subscription is cancelled, and its event comes, between a page's arrival and its reading."""
    page_of = reconcile.Check.page

    def late(check, kind, page):
        if kind == "subscription":
            shop.sandbox.client.v1.subscriptions.cancel(alice.subscription)
            shop.settle()
            assert [row["status"] for row in shop.rows(Subscription)] == ["canceled"]
        page_of(check, kind, page)

    monkeypatch.setattr(reconcile.Check, "page", late)

    flask(shop, "sync")

    assert [row["status"] for row in shop.rows(Subscription)] == ["canceled"]
    assert differences(shop) == []


def test_what_changes_between_look_and_write_is_asked_for_anew(shop, alice, monkeypatch):
    """The write compares the version with that of the row that was looked at."""
    lose_events(shop)
    shop.sandbox.advance(days=2)
    shop.sandbox.client.v1.customers.update(alice.customer, {"name": "Alice"})
    write = reconcile.Check.write

    def late(check, kind, answer, obj, held):
        if kind == "customer":
            shop.sandbox.client.v1.customers.update(alice.customer, {"name": "Alice Liddell"})
            sync.ask("customer", alice.customer, quick=False)
        write(check, kind, answer, obj, held)

    monkeypatch.setattr(reconcile.Check, "write", late)

    flask(shop, "sync")

    assert [row["name"] for row in shop.rows(Customer)] == ["Alice Liddell"]


# --- cut off, and gone on with


def test_a_run_that_was_cut_off_goes_on_where_it_was(shop, alice):
    """Stripe breaks down at the invoices; the second run does not list customers again, and its report is whole."""
    lose_events(shop)
    shop.sandbox.advance(days=32)
    shop.sandbox.client.v1.customers.update(alice.customer, {"name": "Alice"})
    shop.sandbox.fault(path="^/v1/invoices$", status=500, times=3)

    output, status = flask(shop, "sync")
    assert status == 2
    assert "run it again" in output
    asked = len(shop.calls("GET", "/v1/customers"))

    output, status = flask(shop, "sync")

    assert status == 1
    assert len(shop.calls("GET", "/v1/customers")) == asked
    assert "Went on with the run that was cut off" in output
    assert f"customer {alice.customer} corrected: name" in output
    assert differences(shop) == []
    assert shop.rows(SyncRun) == []


def test_a_run_that_was_killed_is_gone_on_with(shop, alice):
    """By SIGKILL, while Stripe is asked for invoices: nothing was said, but what was done is kept."""
    lose_events(shop)
    shop.sandbox.advance(days=32)
    shop.sandbox.client.v1.customers.update(alice.customer, {"name": "Alice"})
    shop.sandbox.fault(path="^/v1/invoices$", delay=60)
    own = ("DATABASE_URL", "STRIPE_API_BASE", "STRIPE_JS_URL", "BASE_URL")
    settings = {name: str(value) for name, value in SETTINGS.items()} | {name: shop.app.config[name] for name in own}
    before = len(shop.calls("GET", "/v1/invoices"))
    command = [sys.executable, "-m", "flask", "--app", "app", "sync"]
    with subprocess.Popen(command, cwd=config.ROOT, env={**os.environ, **settings}) as run:
        while len(shop.calls("GET", "/v1/invoices")) == before:
            assert run.poll() is None
        run.kill()
    asked = len(shop.calls("GET", "/v1/customers"))

    output, status = flask(shop, "sync")

    assert status == 1, output
    assert "Went on with the run that was cut off" in output
    assert len(shop.calls("GET", "/v1/customers")) == asked
    assert f"customer {alice.customer} corrected: name" in output
    assert differences(shop) == []


def test_anew_forgets_the_run_that_was_cut_off(shop, alice):
    """And so does a day."""
    shop.sandbox.fault(path="^/v1/invoices$", status=500, times=3)
    assert flask(shop, "sync")[1] == 2
    asked = len(shop.calls("GET", "/v1/customers"))

    output, status = flask(shop, "sync", "--anew")

    assert (status, len(shop.calls("GET", "/v1/customers"))) == (0, asked + 1)
    assert "Went on" not in output
    shop.sandbox.fault(path="^/v1/invoices$", status=500, times=3)
    assert flask(shop, "sync")[1] == 2
    shop.sandbox.advance(days=2)
    assert "Went on" not in flask(shop, "sync")[0]


def test_a_cursor_that_is_gone_begins_its_list_again(shop, alice):
    """Stripe refuses to list after an object it no longer has."""
    shop.sandbox.fault(path="^/v1/invoices$", status=500, times=3)
    assert flask(shop, "sync")[1] == 2
    with shop.app.app_context(), db.write() as tx:
        tx.execute(sa.update(SyncRun).values(kind="customer", cursor="cus_gone"))

    output, status = flask(shop, "sync")

    assert status == 0, output


def test_of_two_runs_at_once_the_first_ends(shop, alice, monkeypatch):
    """And the second goes on with it."""
    page_of = reconcile.Check.page

    def another(check, kind, page):
        page_of(check, kind, page)
        if kind == "customer":
            monkeypatch.setattr(reconcile.Check, "page", page_of)
            assert flask(shop, "sync")[1] == 0

    monkeypatch.setattr(reconcile.Check, "page", another)

    output, status = flask(shop, "sync")

    assert status == 2
    assert "another `flask sync`" in output


# --- rate


def test_a_busy_stripe_is_waited_for(shop, alice, monkeypatch):
    """429 means that nothing was begun."""
    waits: list[float] = []
    monkeypatch.setattr(pace, "sleep", waits.append)
    shop.sandbox.fault(path="^/v1/invoices$", status=429, times=3)

    output, status = flask(shop, "sync", "--rate", "100")

    assert status == 0, output
    assert [wait for wait in waits if wait >= 1] == [5, 5, 5]


def test_a_stripe_that_stays_busy_ends_the_run(shop, alice, monkeypatch):
    """Not finished is status 2."""
    monkeypatch.setattr(pace, "sleep", lambda _seconds: None)
    shop.sandbox.fault(path="^/v1/invoices$", status=429, times=50)

    assert flask(shop, "sync")[1] == 2


def test_calls_are_spread_over_time(monkeypatch):
    """Ten a second: the eleventh comes a second after the first."""
    now = [100.0]
    monkeypatch.setattr("pace.time.monotonic", lambda: now[0])
    monkeypatch.setattr(pace, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    pacer = pace.Pacer(10)

    for _ in range(11):
        pacer.wait_for_turn()

    assert now[0] == pytest.approx(101.0)


# --- whose database


def test_another_accounts_key_changes_nothing(shop, alice):
    """Every row would look as if Stripe had lost it."""
    before = everything_of_ours(shop)
    shop.sandbox.reset()

    for words in (["sync"], ["sync", "--since", "1d"], ["sync", "--customer", alice.customer]):
        output, status = flask(shop, *words)
        assert status == 1
        assert "belongs to the Stripe account" in output

    assert everything_of_ours(shop) == before


# --- one customer


def test_one_customer_alone(shop, alice):
    """Nobody else is asked about."""
    shop.member("bob@example.com").subscribe("basic_monthly")
    lose_events(shop)
    shop.sandbox.advance(days=32)
    shop.sandbox.client.v1.subscriptions.cancel(alice.subscription)

    output, status = flask(shop, "sync", "--customer", alice.customer)

    assert status == 1
    assert f"subscription {alice.subscription} corrected" in output
    assert [id for id, *_ in differences(shop) if id == alice.subscription] == []
    assert flask(shop, "sync", "--customer", alice.customer)[1] == 0
    assert flask(shop, "sync", "--customer", "cus_nobody")[1] == 1


# --- --since


def test_missed_events_are_taken_like_deliveries(shop, alice):
    """They are in the ledger afterwards, and a second run has nothing to do."""
    lose_events(shop)
    mark = shop.sandbox.mark()
    shop.sandbox.advance(days=2)
    shop.sandbox.client.v1.subscriptions.cancel(alice.subscription)
    lost = shop.sandbox.events(since=mark)
    assert lost

    output, status = flask(shop, "sync", "--since", "1h")

    assert status == 1, output
    assert f"subscription {alice.subscription} corrected: " in output
    assert differences(shop) == []
    states = {row["id"]: row["state"] for row in shop.rows(WebhookEvent)}
    assert {states.get(event.id) for event in lost if event.type == "customer.subscription.deleted"} == {"done"}
    assert flask(shop, "sync", "--since", "1h")[1] == 0


def test_since_heals_a_month_of_renewals(shop, alice):
    """29 days without one event, with a customer who came meanwhile."""
    shop.sandbox.advance(days=10)
    shop.settle()
    lose_events(shop)
    bob = shop.member("bob@example.com")
    pay(shop.sandbox, bob.subscribe("basic_monthly")["clientSecret"])
    shop.sandbox.advance(days=28)

    output, status = flask(shop, "sync", "--since", "29d")

    assert status == 1, output
    assert differences(shop) == []
    assert bob.may_see("basic")
    assert alice.may_see("premium")


def test_since_in_a_dry_run_tells_and_writes_nothing(shop, alice):
    """Not even the ledger."""
    lose_events(shop)
    shop.sandbox.client.v1.subscriptions.cancel(alice.subscription)
    before = everything_of_ours(shop), shop.rows(WebhookEvent)

    output, status = flask(shop, "sync", "--since", "2h", "--dry-run")

    assert status == 1
    assert f"subscription {alice.subscription} different: " in output
    assert (everything_of_ours(shop), shop.rows(WebhookEvent)) == before


def test_since_finds_what_no_event_tells_of(shop, alice):
    """The renewal's events are older than Stripe keeps: the subscription is overdue by our own row."""
    lose_events(shop)
    shop.sandbox.advance(days=31)
    shop.sandbox.client.v1.subscriptions.cancel(alice.subscription)
    shop.sandbox.advance(days=40)

    output, status = flask(shop, "sync", "--since", "2d")

    assert status == 1
    assert f"subscription {alice.subscription} corrected: " in output
    assert [row["status"] for row in shop.rows(Subscription)] == ["canceled"]


def test_since_adopts_a_customer_whose_making_we_forgot(shop, alice):
    """And takes up what came of them."""
    with shop.app.app_context(), db.write() as tx:
        for model in (SubscriptionItem, Subscription, Invoice, PaymentMethod, Customer, WebhookEvent):
            tx.execute(sa.delete(model))

    output, status = flask(shop, "sync", "--since", "1d")

    assert status == 1
    assert f"customer {alice.customer} missing here" in output
    assert differences(shop) == []


@pytest.mark.parametrize("since", ["31d", "2020-01-01", "2020-01-01T00:00:00Z"])
def test_since_can_not_reach_further_than_stripe(shop, since):
    """30 days."""
    output, status = flask(shop, "sync", "--since", since)

    assert status == 2
    assert "30 days" in output


@pytest.mark.parametrize("since", ["yesterday", "3", "3w", "-3d", "²d", "2026-13-01"])
def test_since_must_be_a_time(shop, since):
    """Told by name, with an example."""
    output, status = flask(shop, "sync", "--since", since)

    assert status == 2
    assert "2026-11-01" in output


def test_an_event_that_fails_again_is_told(shop, alice, monkeypatch):
    """Status 2: not finished."""
    lose_events(shop)
    shop.sandbox.client.v1.subscriptions.cancel(alice.subscription)
    monkeypatch.setattr("missed.webhooks.take", lambda event: ({"error": "failed"}, 500))

    output, status = flask(shop, "sync", "--since", "1h")

    assert status == 2
    assert "not finished: " in output


def test_since_can_not_lie_ahead(shop):
    """A date that was mistyped would look like a shop without drift."""
    output, status = flask(shop, "sync", "--since", "2100-01-01")

    assert status == 2
    assert "lies ahead" in output


@pytest.mark.parametrize("words", [[], ["--since", "1d"]])
def test_no_customer_is_not_all_of_them(shop, words):
    """As where a script's variable is empty."""
    output, status = flask(shop, "sync", "--customer", "", *words)

    assert status != 0
    assert "No drift" not in output


def test_cron_sees_no_progress_bar(shop):
    """The report alone."""
    assert "rows" not in flask(shop, "sync")[0]


# --- what lists over everybody do not show


def test_a_customer_on_a_test_clock_is_looked_at_too(shop, alice):
    """No list over everybody shows them, nor what is theirs; their time is their own."""
    v1 = shop.sandbox.client.v1
    clock = v1.test_helpers.test_clocks.create({"frozen_time": shop.sandbox.now(), "customer": alice.customer})
    assert v1.customers.list().data == []
    shop.settle()
    lose_events(shop)
    assert advance_clock(v1, clock.id, shop.sandbox.now() + 32 * 86400).status == "ready"
    assert len(v1.invoices.list({"customer": alice.customer}).data) == 2

    output, status = flask(shop, "sync")

    assert status == 1, output
    assert f"subscription {alice.subscription} corrected: " in output
    assert "invoice: 1 equal, 1 missing here" in output
    at_stripe = v1.subscriptions.retrieve(alice.subscription)["items"].data[0].current_period_end
    assert [row["current_period_end"] for row in shop.rows(SubscriptionItem)] == [at_stripe]
    assert flask(shop, "sync")[1] == 0


def test_what_a_customer_is_entitled_to_is_looked_at_where_there_are_features(shop, alice):
    """Asked for each customer, but only if the account has features at all."""
    path = "/v1/entitlements/active_entitlements"
    assert flask(shop, "sync")[1] == 0
    asked = len(shop.calls("GET", path))
    v1 = shop.sandbox.client.v1
    lose_events(shop)
    feature = v1.entitlements.features.create({"name": "Letters", "lookup_key": "letters"})
    product_id = v1.subscriptions.retrieve(alice.subscription)["items"].data[0].price.product
    v1.products.features.create(product_id, {"entitlement_feature": feature.id})
    shop.sandbox.advance(days=32)
    if not v1.entitlements.active_entitlements.list({"customer": alice.customer}).data:
        pytest.fail("nobody is entitled to anything")

    output, status = flask(shop, "sync")

    assert status == 1, output
    assert len(shop.calls("GET", path)) > asked
    assert [(row["id"], row["lookup_keys"]) for row in shop.rows(Entitlements)] == [(alice.customer, ["letters"])]
    assert flask(shop, "sync")[1] == 0


@pytest.mark.parametrize(("paid_since", "told"), [(False, ["payment_failed"]), (True, [])])
def test_missed_events_tell_customers_only_what_is_still_true(shop, alice, paid_since, told):
    """A failed renewal is told, though late; once it is paid it is no news."""
    v1 = shop.sandbox.client.v1
    lose_events(shop)
    broke = v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": alice.customer})
    v1.subscriptions.update(alice.subscription, {"default_payment_method": broke.id})
    shop.sandbox.advance(days=32)
    if paid_since:
        v1.invoices.pay(v1.invoices.list({"limit": 1}).data[0].id, {"payment_method": "pm_card_visa"})
    mails = [row["kind"] for row in shop.rows(Outbox)]

    output, status = flask(shop, "sync", "--since", "29d")

    assert status == 1, output
    assert [row["kind"] for row in shop.rows(Outbox)][len(mails) :] == told
