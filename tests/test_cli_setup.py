"""`flask webhooks` and `flask backup`."""

import resource
import signal
import sqlite3
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

import billing
from models import Customer, Invoice, Operation, PaymentMethod, Subscription, SubscriptionItem, User, WebhookEvent
from tests.shop import RunningShop, pay
from webhooks import HANDLERS

URL = "https://shop.example.com/webhook"


@pytest.fixture
def shop_cli(sandbox, make_app):
    """Commands of a shop that nobody serves."""
    runner = make_app(STRIPE_API_BASE=sandbox.url).test_cli_runner()

    def flask(*words):
        result = runner.invoke(args=words)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.output
        return result.output, result.exit_code

    return flask


def endpoints(sandbox):
    return sandbox.client.v1.webhook_endpoints.list().data


# --- flask webhooks


def test_an_endpoint_gets_our_events_in_our_version(sandbox, shop_cli):
    """And its secret is told."""
    output, status = shop_cli("webhooks", "create", URL)

    (made,) = endpoints(sandbox)
    assert status == 0, output
    assert (made.url, made.status, made.api_version) == (URL, "enabled", billing.API_VERSION)
    assert sorted(made.enabled_events) == sorted(HANDLERS)
    assert "STRIPE_WEBHOOK_SECRET=whsec_" in output


def test_the_line_for_the_settings_alone(shop_cli):
    """Fit to be appended to .env."""
    output, _ = shop_cli("webhooks", "create", URL, "--env")

    (line,) = output.splitlines()
    assert line.startswith("STRIPE_WEBHOOK_SECRET=whsec_")


def test_an_endpoint_that_is_there_is_told(sandbox, shop_cli):
    """Two would deliver everything twice."""
    shop_cli("webhooks", "create", URL)

    output, status = shop_cli("webhooks", "create", URL)

    assert status == 1
    assert endpoints(sandbox)[0].id in output
    assert len(endpoints(sandbox)) == 1


def test_an_endpoint_that_is_there_can_be_updated(sandbox, shop_cli):
    """Enabled, with the events that are needed; of its version it is said that it can't change."""
    made = sandbox.client.v1.webhook_endpoints.create(
        {"url": URL, "enabled_events": ["invoice.paid"], "api_version": "2020-08-27"}
    )
    sandbox.client.v1.webhook_endpoints.update(made.id, {"disabled": True})

    output, status = shop_cli("webhooks", "create", URL, "--update")

    (found,) = endpoints(sandbox)
    assert status == 0
    assert (found.id, found.status) == (made.id, "enabled")
    assert sorted(found.enabled_events) == sorted(HANDLERS)
    assert "2020-08-27" in output
    assert "whsec_" not in output


def test_a_secret_whose_answer_got_lost_is_told_again(sandbox, shop_cli):
    """The endpoint is made once, by one idempotency key."""
    sandbox.fault(method="POST", path="^/v1/webhook_endpoints$", drop=True, when="after", times=3)
    output, status = shop_cli("webhooks", "create", URL)
    assert status == 1, output
    assert len(endpoints(sandbox)) == 1

    output, status = shop_cli("webhooks", "create", URL)

    assert status == 0
    assert "STRIPE_WEBHOOK_SECRET=whsec_" in output
    assert len(endpoints(sandbox)) == 1


def test_the_path_of_the_shop_is_added(sandbox, shop_cli):
    """Who names the shop means its /webhook."""
    shop_cli("webhooks", "create", "https://shop.example.com/")

    assert [one.url for one in endpoints(sandbox)] == [URL]


@pytest.mark.parametrize("url", ["shop.example.com", "ftp://shop.example.com/webhook", "https://shop.example.com/hook"])
def test_an_address_that_the_shop_does_not_have_is_refused(sandbox, shop_cli, url):
    """Nothing is made."""
    output, status = shop_cli("webhooks", "create", url)

    assert status == 2
    assert "/webhook" in output
    assert endpoints(sandbox) == []


def test_what_stripe_refuses_is_told_in_its_words(sandbox, shop_cli):
    """And is not tried again with the same key."""
    sandbox.fault(method="POST", path="^/v1/webhook_endpoints$", status=400)

    output, status = shop_cli("webhooks", "create", URL)

    assert status == 1
    assert "Stripe: " in output
    assert shop_cli("webhooks", "create", URL)[1] == 0


def test_endpoints_are_listed(sandbox, shop_cli):
    """None, and one."""
    assert "There are none" in shop_cli("webhooks", "list")[0]
    shop_cli("webhooks", "create", URL)

    (line,) = shop_cli("webhooks", "list")[0].splitlines()

    assert line.split()[1:3] == ["enabled", billing.API_VERSION]
    assert line.endswith(URL)


# --- flask backup


@pytest.fixture
def alice(shop):
    """Somebody who pays for Premium since an hour."""
    alice = shop.member()
    attempt = alice.subscribe()
    alice.subscription = attempt["subscriptionId"]
    pay(shop.sandbox, attempt["clientSecret"])
    shop.sandbox.advance(hours=1)
    shop.settle()
    return alice


def flask(shop, *words):
    result = shop.app.test_cli_runner().invoke(args=words)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result.output, result.exit_code


def mirrored(shop):
    """All that we copy of Stripe's, without what only says when we heard of it."""
    bookkeeping = ("version", "known_from", "known_to")
    return {
        model.__tablename__: sorted(
            tuple((name, str(value)) for name, value in row.items() if name not in bookkeeping)
            for row in shop.rows(model)
        )
        for model in (Customer, Subscription, SubscriptionItem, Invoice, PaymentMethod)
    }


def restored(shop, backup, make_app):
    """The shop with the backup in its database's place."""
    same = ("BASE_URL", "STRIPE_API_BASE", "STRIPE_JS_URL")
    app = make_app(**{name: shop.app.config[name] for name in same}, DATABASE_URL=f"sqlite:///{backup}")
    return RunningShop(app, shop.sandbox)


@pytest.mark.parametrize("words", [["sync"], ["sync", "--since", "20d"]], ids=["everything", "since"])
def test_a_restored_backup_is_healed(shop, alice, make_app, tmp_path, words):
    """Backup; a new subscriber, a renewal, a cancellation; restore: the tables end up as they were before."""
    bob = shop.member("bob@example.com")
    backup = tmp_path / "backup.db"
    assert flask(shop, "backup", str(backup))[1] == 0
    pay(shop.sandbox, bob.subscribe("basic_monthly")["clientSecret"])
    shop.sandbox.advance(days=18)
    shop.settle()
    shop.sandbox.client.v1.subscriptions.cancel(alice.subscription)
    shop.settle()
    before = mirrored(shop)

    shop = restored(shop, backup, make_app)
    assert mirrored(shop) != before
    output, status = flask(shop, *words)

    assert status == 1, output
    assert mirrored(shop) == before
    assert flask(shop, *words)[1] == 0


def test_a_backup_is_whole_private_and_ready_to_be_used(shop, alice, tmp_path):
    """In WAL mode, as the shop wants its database; nobody else may read it."""
    backup = tmp_path / "backup.db"

    output, status = flask(shop, "backup", str(backup))

    assert status == 0, output
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    connection = sqlite3.connect(backup)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("SELECT count(*) FROM users").fetchone() == (len(shop.rows(User)),)
    assert connection.execute("SELECT count(*) FROM webhook_events").fetchone() == (len(shop.rows(WebhookEvent)),)
    connection.close()
    assert {file.name for file in tmp_path.glob("backup*")} == {"backup.db"}


def test_a_backup_overwrites_nothing(shop, tmp_path):
    """Not even an empty file."""
    backup = tmp_path / "backup.db"
    backup.write_text("")

    output, status = flask(shop, "backup", str(backup))

    assert status == 1
    assert "exists already" in output
    assert backup.read_text() == ""


def test_a_backup_to_nowhere_is_told(shop, tmp_path):
    """A folder that is not there."""
    output, status = flask(shop, "backup", str(tmp_path / "nowhere" / "backup.db"))

    assert status == 1
    assert "No such file" in output


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_a_backup_to_what_is_no_file_is_told(shop):
    """A device, a folder: they are there already."""
    for target in ("/dev/full", "/"):
        assert flask(shop, "backup", target)[1] in (1, 2)


def test_a_full_disk_is_told_and_nothing_is_left(shop, tmp_path):
    """In words; half a database would look like one. Files of this process may not grow beyond a few kilobytes."""
    backup = tmp_path / "backup.db"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
    try:
        output, status = flask(shop, "backup", str(backup))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)

    assert status == 1
    assert str(backup) in output
    assert not backup.exists()


def test_a_damaged_database_is_told_and_nothing_is_left(shop, tmp_path, monkeypatch):
    """Its copy would be damaged, too."""
    monkeypatch.setattr("backup.finish", lambda file: (_ for _ in ()).throw(sqlite3.DatabaseError("malformed")))
    backup = tmp_path / "backup.db"

    output, status = flask(shop, "backup", str(backup))

    assert (status, backup.exists()) == (1, False)
    assert "malformed" in output


def test_postgresql_has_its_own_way(make_app, monkeypatch, tmp_path):
    """Said with the command."""
    app = make_app()
    engine = SimpleNamespace(dialect=SimpleNamespace(name="postgresql"))
    monkeypatch.setattr("backup.db.engine", lambda: engine)

    result = app.test_cli_runner().invoke(args=["backup", str(tmp_path / "backup.db")])

    assert result.exit_code == 1
    assert "pg_dump" in result.output


def test_operations_of_the_commands_are_closed(shop, shop_cli):
    """Nothing is left open by an endpoint that was made."""
    assert flask(shop, "webhooks", "create", URL)[1] == 0

    assert {row["state"] for row in shop.rows(Operation) if row["kind"] == "create_webhook_endpoint"} == {"done"}
