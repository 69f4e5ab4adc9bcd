"""`flask doctor` finds each planted mistake, and says what to do; `/readyz` warns of silence."""

import json
import os
import subprocess
import sys

import pytest
import requests
import sqlalchemy as sa

import billing
import clock
import config
import db
import health
from models import Customer, Price, WebhookEvent
from tests.conftest import SETTINGS
from tests.shop import pay
from tests.stripe_objects import event, product
from webhooks import HANDLERS

HOUR = 3600


@pytest.fixture
def shop(shop):
    """A shop that is well, an hour after its first events."""
    shop.sandbox.advance(hours=1)
    shop.settle()
    return shop


def look(app, *words):
    """The findings, and the exit status."""
    result = app.test_cli_runner().invoke(args=["doctor", "--json", *words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return json.loads(result.stdout), result.exit_code


def wrong(app, *words):
    """The one thing that is wrong: what it is about, its words, its remedy."""
    found, status = look(app, *words)
    findings = [one for one in found if one["state"] == "wrong"]
    assert len(findings) == 1, findings
    assert status == 1
    assert findings[0]["remedy"]
    return findings[0]["about"], findings[0]["text"], findings[0]["remedy"]


def run_doctor(tmp_path, **settings):
    """`flask doctor` in a process of its own, as somebody types it."""
    values = {name: str(value) for name, value in SETTINGS.items() if isinstance(value, str)} | settings
    # An empty value is not enough: the developer's own .env would fill it in.
    environment = {**os.environ, "DATABASE_URL": f"sqlite:///{tmp_path / 'none.db'}", **values}
    command = [sys.executable, "-m", "flask", "--app", "app", "doctor", "--json", "--offline"]
    return subprocess.run(command, cwd=config.ROOT, env=environment, capture_output=True, text=True, check=False)


# --- a shop that is well


def test_a_shop_that_is_well(shop):
    """Every finding is ok, and the status 0."""
    found, status = look(shop.app)

    assert [one for one in found if one["state"] != "ok"] == []
    assert status == 0
    assert {"settings", "database", "key", "clock", "endpoint", "events", "catalogue", "mail"} <= {
        one["about"] for one in found
    }


def test_for_people_it_is_told_in_lines(shop):
    """With the remedy below."""
    shop.app.config["BASE_URL"] = "https://shop.example.com"

    result = shop.app.test_cli_runner().invoke(args=["doctor"])

    assert "wrong    endpoint     Stripe sends nothing to https://shop.example.com/webhook." in result.output
    assert "-> Run `flask webhooks create https://shop.example.com/webhook`." in result.output
    assert result.output.endswith("\n1 thing is wrong.\n")
    assert result.exit_code == 1


@pytest.mark.parametrize("setting", ["STRIPE_SECRET_KEY", "STRIPE_PUBLISHABLE_KEY", "DATABASE_URL", "SECRET_KEY"])
def test_no_secret_is_told_whole(tmp_path, setting):
    """Not even one that was put into the wrong place."""
    secrets = {"STRIPE_WEBHOOK_SECRET": "whsec_0123456789abc", "MAIL_PASSWORD": "0123456789mail"}
    misplaced = {setting: "whsec_0123456789misplaced" if setting != "SECRET_KEY" else "short-secret"}
    if setting == "DATABASE_URL":
        misplaced = {setting: "postgresql+psycopg://shop:0123456789pg@127.0.0.1:1/shop"}

    done = run_doctor(tmp_path, **secrets, **misplaced)

    assert done.returncode == 1
    assert json.loads(done.stdout)
    told = done.stdout + done.stderr
    assert [one for one in ("0123456789", "short-secret", SETTINGS["SECRET_KEY"]) if one in told] == []


def test_it_changes_nothing(shop):
    """Not at Stripe, not in the ledger."""
    before, mark = shop.rows(WebhookEvent), shop.sandbox.mark()
    shop.sandbox.control("DELETE", "requests")

    look(shop.app)

    assert {one["method"] for one in shop.sandbox.requests()} == {"GET"}
    assert (shop.rows(WebhookEvent), shop.sandbox.mark()) == (before, mark)


def test_offline_nobody_is_asked(shop):
    """Settings, database, ledger alone."""
    shop.sandbox.control("DELETE", "requests")

    _, status = look(shop.app, "--offline")

    assert status == 0
    assert shop.sandbox.requests() == []


# --- the twelve mistakes


def test_1_no_key(tmp_path):
    """The app can't start, the doctor can; it looks on as far as it gets."""
    done = run_doctor(tmp_path, STRIPE_SECRET_KEY="nothing", GRACE_DAYS="many")

    found = json.loads(done.stdout)
    about = {(one["state"], one["about"]) for one in found}
    assert done.returncode == 1, done.stderr
    assert [one["text"].split()[0] for one in found[:2]] == ["STRIPE_SECRET_KEY", "GRACE_DAYS"]
    assert {("wrong", "database"), ("warning", "stripe"), ("ok", "mail")} <= about
    assert not (tmp_path / "none.db").exists()


def test_without_the_doctor_a_wrong_setting_still_stops_the_app(tmp_path):
    """Any other command ends with the list."""
    environment = {**os.environ, "STRIPE_SECRET_KEY": "nothing"}
    command = [sys.executable, "-m", "flask", "--app", "app", "tick"]
    done = subprocess.run(command, cwd=config.ROOT, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "STRIPE_SECRET_KEY must be a secret key" in done.stderr


def test_a_key_that_stripe_does_not_know(shop, make_app):
    """Withdrawn, or mistyped."""
    app = make_app(STRIPE_SECRET_KEY="sk_test_withdrawn", STRIPE_API_BASE=shop.sandbox.url)

    about, text, remedy = wrong(app)

    assert about == "key"
    assert "STRIPE_SECRET_KEY" in text
    assert "apikeys" in remedy


def test_2_a_live_key_over_http(make_app):
    """Nobody is asked with it in this test."""
    app = make_app(
        STRIPE_SECRET_KEY="sk_live_1",
        STRIPE_PUBLISHABLE_KEY="pk_live_1",
        STRIPE_API_BASE="",
        STRIPE_JS_URL="",
        BASE_URL="http://shop.example.com",
    )

    _, text, remedy = wrong(app, "--offline")

    assert "http://shop.example.com" in text
    assert "https" in remedy


def test_3_another_endpoints_secret(shop):
    """Stripe's events are refused: none of the last ones is in the ledger."""
    other = shop.sandbox.client.v1.webhook_endpoints.create(
        {"url": "https://other.example.com/webhook", "enabled_events": ["invoice.voided"]}
    )
    shop.app.config["STRIPE_WEBHOOK_SECRET"] = [other.secret]
    shop.sandbox.client.v1.products.create({"name": "A new one"})
    shop.settle()
    shop.sandbox.advance(hours=1)
    shop.settle()

    about, text, remedy = wrong(shop.app)

    assert about == "events"
    assert "STRIPE_WEBHOOK_SECRET is not that of we_" in text
    assert "signing secret" in remedy


def test_4_an_endpoint_of_another_api_version(shop):
    """Each of its events would lead to a question."""
    replace_endpoint(shop, api_version="2020-08-27")

    about, text, remedy = wrong(shop.app)

    assert about == "api version"
    assert "2020-08-27" in text
    assert "flask webhooks create" in remedy


def test_5_a_missing_event_type(shop):
    """Named."""
    replace_endpoint(shop, enabled_events=sorted(set(HANDLERS) - {"invoice.paid", "customer.deleted"}))

    about, text, remedy = wrong(shop.app)

    assert about == "endpoint"
    assert "does not send customer.deleted, invoice.paid." in text
    assert "--update" in remedy


def test_a_disabled_endpoint(shop):
    """Stripe disables one that fails for days."""
    (endpoint,) = shop.sandbox.client.v1.webhook_endpoints.list().data
    shop.sandbox.client.v1.webhook_endpoints.update(endpoint.id, {"disabled": True})

    about, text, _ = wrong(shop.app)

    assert about == "endpoint"
    assert "disabled" in text


def replace_endpoint(shop, **values):
    """The endpoint with other values; the shop gets its secret."""
    v1 = shop.sandbox.client.v1
    (endpoint,) = v1.webhook_endpoints.list().data
    v1.webhook_endpoints.delete(endpoint.id)
    made = v1.webhook_endpoints.create({"url": endpoint.url, "enabled_events": ["*"], **values})
    shop.app.config["STRIPE_WEBHOOK_SECRET"] = [made.secret]


def test_6_a_moved_lookup_key(shop):
    """In the dashboard, and the shop has not heard of it."""
    (price,) = [row for row in shop.rows(Price) if row["lookup_key"] == "basic_monthly"]
    shop.sandbox.post("deliveries", {"mode": "drop"})
    moved = shop.sandbox.client.v1.prices.create(
        {
            "product": price["product_id"],
            "currency": "usd",
            "unit_amount": 500,
            "recurring": {"interval": "month"},
            "lookup_key": "basic_monthly",
            "transfer_lookup_key": True,
        }
    )

    about, text, remedy = wrong(shop.app)

    assert about == "catalogue"
    assert moved.id in text
    assert price["id"] in text
    assert "flask sync" in remedy


def test_a_price_that_is_not_what_the_file_says(shop):
    """Somebody made another one in the dashboard, and the shop has heard of it."""
    (price,) = [row for row in shop.rows(Price) if row["lookup_key"] == "basic_monthly"]
    shop.sandbox.client.v1.prices.create(
        {
            "product": price["product_id"],
            "currency": "usd",
            "unit_amount": 700,
            "recurring": {"interval": "month"},
            "lookup_key": "basic_monthly",
            "transfer_lookup_key": True,
        }
    )
    shop.settle()

    about, text, remedy = wrong(shop.app)

    assert about == "catalogue"
    assert "than in the file" in text
    assert "flask catalog sync" in remedy


def test_a_price_that_stripe_does_not_have(shop):
    """Archived by hand."""
    (price,) = [row for row in shop.rows(Price) if row["lookup_key"] == "basic_monthly"]
    shop.sandbox.client.v1.prices.update(price["id"], {"active": False})
    shop.settle()

    assert "No price at Stripe is called basic_monthly" in wrong(shop.app)[1]


def test_7_an_unmigrated_database(sandbox, make_app, tmp_path):
    """One that is not there, and one of an older version."""
    missing = make_app(DATABASE_URL=f"sqlite:///{tmp_path / 'missing.db'}")
    about, _, remedy = wrong(missing, "--offline")
    assert about == "database"
    assert "flask db upgrade" in remedy
    assert not (tmp_path / "missing.db").exists()

    older = make_app(STRIPE_API_BASE=sandbox.url)
    with older.app_context(), db.write() as tx:
        tx.execute(sa.text("UPDATE alembic_version SET version_num = '000'"))
    about, _, remedy = wrong(older)
    assert about == "database"
    assert "flask db upgrade" in remedy


def test_8_keys_of_two_accounts(shop):
    """With the publishable key the account's payments can't be seen."""
    alice = shop.member()
    pay(shop.sandbox, alice.subscribe()["clientSecret"])
    shop.settle()
    shop.sandbox.fault(method="GET", path="^/v1/payment_intents/pi_", status=404)

    about, text, remedy = wrong(shop.app)

    assert about == "key"
    assert "two accounts" in text
    assert "apikeys" in remedy


def test_8_a_publishable_key_that_is_nobodys(shop):
    """Before the first payment it can still be seen that Stripe does not know it."""
    shop.app.config["STRIPE_PUBLISHABLE_KEY"] = "pk_test_another"

    about, text, _ = wrong(shop.app)

    assert about == "key"
    assert "STRIPE_PUBLISHABLE_KEY" in text


@pytest.mark.parametrize("seconds", [600, -600])
def test_9_a_clock_ten_minutes_off(shop, monkeypatch, seconds):
    """Ahead of Stripe's, or behind."""
    monkeypatch.setattr(config, "STRIPE_API", shop.sandbox.url)  # no stand-in's time is expected to be ahead
    off = shop.sandbox.now() + seconds
    monkeypatch.setattr(clock, "wall", lambda: off)

    about, text, remedy = wrong(shop.app)

    assert about == "clock"
    assert "600 seconds" in text or "599 seconds" in text or "601 seconds" in text
    assert "ntp" in remedy


def test_a_stand_ins_clock_may_be_ahead(shop):
    """It is moved on purpose."""
    shop.sandbox.advance(days=40)
    shop.settle()

    assert look(shop.app)[1] == 0


def test_10_memory_limits_with_several_workers(shop, monkeypatch):
    """Each worker counts for itself."""
    monkeypatch.setenv("WORKERS", "3")

    _, text, remedy = wrong(shop.app)

    assert "WORKERS=3" in text
    assert "redis" in remedy
    shop.app.config["RATELIMIT_STORAGE_URI"] = "redis://localhost"
    assert look(shop.app)[1] == 0


def test_11_a_database_of_another_account(shop):
    """Every row in it would look lost. The sandbox has a new account after a reset."""
    shop.sandbox.reset()

    found, status = look(shop.app)

    assert status == 1
    (finding,) = [one for one in found if one["state"] == "wrong" and one["about"] == "database"]
    assert "belongs to the account acct_" in finding["text"]
    assert "DATABASE_URL" in finding["remedy"]


def test_12_every_event_asks_because_of_its_version(shop):
    """The ledger tells: as with `stripe listen` without --latest."""
    with shop.app.app_context(), db.write() as tx:
        tx.execute(sa.delete(WebhookEvent))
    replace_endpoint(shop, api_version="2020-08-27")
    for name in ("One", "Two"):
        shop.sandbox.client.v1.products.create({"name": name})
    shop.settle()
    shop.sandbox.advance(hours=1)
    (old,) = shop.sandbox.client.v1.webhook_endpoints.list().data
    shop.sandbox.client.v1.webhook_endpoints.delete(old.id)  # only the events that came tell of it now

    about, text, remedy = wrong(shop.app)

    assert about == "api version"
    assert "The last 2 events were of API version 2020-08-27" in text
    assert "--latest" in remedy


# --- more


def test_a_publishable_key_of_the_same_account(shop):
    """Proved with a payment intent."""
    alice = shop.member()
    pay(shop.sandbox, alice.subscribe()["clientSecret"])
    shop.sandbox.advance(hours=1)
    shop.settle()

    found, status = look(shop.app)

    assert status == 0
    assert "STRIPE_PUBLISHABLE_KEY is of the same account." in [one["text"] for one in found]


def test_no_endpoint_for_a_shop_on_the_internet(shop):
    """On one's own machine `stripe listen` does without."""
    (endpoint,) = shop.sandbox.client.v1.webhook_endpoints.list().data
    shop.sandbox.client.v1.webhook_endpoints.delete(endpoint.id)
    assert look(shop.app)[1] == 0
    shop.app.config["BASE_URL"] = "https://shop.example.com"

    assert "Stripe sends nothing to https://shop.example.com/webhook" in wrong(shop.app)[1]


def test_two_endpoints_for_one_shop(shop):
    """A warning: all works, twice."""
    (endpoint,) = shop.sandbox.client.v1.webhook_endpoints.list().data
    second = shop.sandbox.client.v1.webhook_endpoints.create({"url": endpoint.url, "enabled_events": ["*"]})

    found, status = look(shop.app)

    (warning,) = [one for one in found if one["state"] == "warning"]
    assert status == 0
    assert second.id in warning["text"]


def test_events_lost_in_between(shop):
    """The newest came, some before it did not."""
    shop.sandbox.post("deliveries", {"mode": "drop"})
    shop.sandbox.client.v1.products.create({"name": "Not heard of"})
    shop.sandbox.post("deliveries", {"mode": "deliver"})
    shop.sandbox.client.v1.products.create({"name": "Heard of"})
    shop.sandbox.advance(hours=1)
    shop.settle()

    found, status = look(shop.app)

    (warning,) = [one for one in found if one["state"] == "warning"]
    assert status == 0
    assert warning["text"].startswith("1 of the last ")
    assert "flask sync --since" in warning["remedy"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((503, "STRIPE_WEBHOOK_SECRET is not set"), "has no STRIPE_WEBHOOK_SECRET"),
        ((400, "invalid signature"), "Start it again"),
        ((404, "nginx"), "answers 404"),
        (None, "does not answer"),
    ],
)
def test_the_reason_why_no_event_comes(shop, monkeypatch, answer, reason):
    """By what the shop's own address answers."""
    shop.sandbox.post("deliveries", {"mode": "drop"})
    shop.sandbox.client.v1.products.create({"name": "Not heard of"})
    shop.sandbox.advance(hours=1)

    def post(url, body, **kwargs):
        if answer is None:
            raise requests.ConnectionError
        response = requests.Response()
        response.status_code, response._content = answer[0], answer[1].encode()
        return response

    monkeypatch.setattr("doctor_stripe.requests.post", post)

    about, text, remedy = wrong(shop.app)

    assert about == "events"
    assert reason in f"{text} {remedy}"


def test_nothing_brings_the_events(shop):
    """The shop is up, its secret the right one, but there is no endpoint and nobody listens."""
    shop.sandbox.post("deliveries", {"mode": "drop"})
    (endpoint,) = shop.sandbox.client.v1.webhook_endpoints.list().data
    shop.sandbox.client.v1.webhook_endpoints.delete(endpoint.id)
    shop.sandbox.client.v1.products.create({"name": "Not heard of"})
    shop.sandbox.advance(hours=1)

    assert "stripe listen --latest" in wrong(shop.app)[2]


def test_no_webhook_secret(shop):
    """With where to get one."""
    shop.app.config["STRIPE_WEBHOOK_SECRET"] = []

    found, status = look(shop.app, "--offline")

    assert status == 1
    assert any("flask webhooks create" in one["remedy"] for one in found)


def test_a_mail_server_that_does_not_let_us_in(shop):
    """Nobody is there."""
    shop.app.config |= {"MAIL_SERVER": "127.0.0.1", "MAIL_PORT": 9}

    assert wrong(shop.app)[0] == "mail"


def test_a_stripe_that_does_not_answer(make_app):
    """One finding, and an end."""
    about, text, _ = wrong(make_app(STRIPE_TIMEOUT="1"))

    assert about == "stripe"
    assert "127.0.0.1:9" in text


def test_a_key_that_may_not_read_all(shop):
    """A restricted one: the other checks go on."""
    shop.sandbox.fault(method="GET", path="^/v1/webhook_endpoints$", status=403)

    about, _, remedy = wrong(shop.app)

    assert about == "endpoints"
    assert "restricted" in remedy


def test_stripe_js_of_another_release(shop):
    """Browser and server must speak of the same things."""
    shop.app.config["STRIPE_JS_URL"] = "https://js.stripe.com/v3/"

    about, text, _ = wrong(shop.app)

    assert about == "api version"
    assert "v3" in text


def test_failed_events_are_a_warning(app, client):
    """With the commands for them."""
    with app.app_context(), db.write() as tx:
        row = {"id": "evt_1", "type": "x", "created": 1, "state": "failed", "received_at": 1, "attempts": 1}
        tx.execute(sa.insert(WebhookEvent).values(row))

    found, _ = look(app, "--offline")

    (warning,) = [one for one in found if one["state"] == "warning"]
    assert "flask events replay --failed" in warning["remedy"]


# --- silence


@pytest.fixture
def customer(app):
    """A customer whom Stripe knows since a day and an hour."""
    with app.app_context(), db.write() as tx:
        then = clock.wall() - 25 * HOUR
        tx.execute(sa.insert(Customer).values(id="cus_1", known_from=then, known_to=then))


def test_silence_is_a_warning_where_there_are_customers(app, client, customer):
    """The shop is ready all the same."""
    answer = client.get("/readyz")

    assert answer.status_code == 200
    assert answer.json["ready"]
    assert "for 25 hours" in answer.json["warnings"][0]
    assert [one["state"] for one in look(app, "--offline")[0] if one["about"] == "events"] == ["warning"]


def test_an_event_ends_the_silence(app, client, customer):
    """Whatever it was about."""
    body = json.dumps(event(product(), "product.created", created=5)).encode()
    header = billing.sign(body, SETTINGS["STRIPE_WEBHOOK_SECRET"])
    assert client.post("/webhook", data=body, headers={"Stripe-Signature": header}).status_code == 200

    assert client.get("/readyz").json["warnings"] == []


def test_no_customers_no_silence(client):
    """Nothing need come."""
    assert client.get("/readyz").json["warnings"] == []


@pytest.mark.parametrize(("hours", "silence"), [("0", None), ("25", 25), ("26", None)])
def test_how_long_is_a_setting(make_app, customer, hours, silence):
    """Zero: never."""
    app = make_app(WEBHOOK_SILENCE_HOURS=hours)
    with app.app_context():
        assert health.webhook_silence() == silence
