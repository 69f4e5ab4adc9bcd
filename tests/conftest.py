"""What the tests share: an app on a real SQLite file, and people signed in to it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient, FlaskCliRunner

import db
from app import Shop, create_app
from tests.sandbox_process import SandboxProcess
from tests.shop import RunningShop, free_port, served

SETTINGS: dict[str, Any] = {
    "SECRET_KEY": "a key that only the tests know",
    "SECURITY_PASSWORD_SALT": "salt that only the tests know",
    "STRIPE_SECRET_KEY": "sk_test_sandbox",
    "STRIPE_PUBLISHABLE_KEY": "pk_test_sandbox",
    "STRIPE_WEBHOOK_SECRET": "whsec_tests",
    "STRIPE_API_BASE": "http://127.0.0.1:9",
    "STRIPE_JS_URL": "http://127.0.0.1:9/endive/stripe.js",
    "BASE_URL": "http://localhost",
    "RATELIMIT_ENABLED": "false",
    "LOG_LEVEL": "WARNING",
    # The cheapest password hash that is still a real one.
    "SECURITY_PASSWORD_HASH_PASSLIB_OPTIONS": {
        "argon2__memory_cost": 8,
        "argon2__time_cost": 1,
        "argon2__parallelism": 1,
    },
}
PASSWORD = "three small words"


class Browser(FlaskClient):
    """A client that reads each answer to its end, as a browser does, and sends the page's CSRF token."""

    def open(self, *args: Any, **kwargs: Any) -> Any:
        kwargs.setdefault("buffered", True)
        return super().open(*args, **kwargs)

    def csrf_token(self) -> str:
        """The token of this session, from a page that holds one."""
        page = self.get("/login" if not self.signed_in() else "/change").get_data(as_text=True)
        return page.split('<meta name="csrf-token" content="')[1].split('"')[0]

    def signed_in(self) -> bool:
        with self.session_transaction() as session:
            return "_user_id" in session

    def submit(self, path: str, **fields: str) -> Any:
        """Send a form with its CSRF token."""
        return self.post(path, data={"csrf_token": self.csrf_token(), **fields})

    def send(self, path: str, **fields: Any) -> Any:
        """Send JSON with its CSRF token."""
        return self.post(path, json=fields, headers={"X-CSRFToken": self.csrf_token()})


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with all tables, to copy."""
    file = tmp_path_factory.mktemp("database") / "template.db"
    app = create_app({**SETTINGS, "DATABASE_URL": f"sqlite:///{file}"})
    with app.app_context():
        db.migrations().upgrade()
        with db.reader().connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        db.engine().dispose()
    return file


@pytest.fixture
def make_app(migrated_file: Path, tmp_path: Path) -> Iterator[Callable[..., Shop]]:
    """Make an app with settings of its own, on a database file of this test."""
    apps = []

    def make(**settings: Any) -> Shop:
        file = tmp_path / "shop.db"
        if not file.exists():
            shutil.copy(migrated_file, file)
        app = create_app({**SETTINGS, "DATABASE_URL": f"sqlite:///{file}", **settings})
        app.instance_path = str(tmp_path / "instance")
        app.test_client_class = Browser
        apps.append(app)
        return app

    yield make
    for app in apps:
        with app.app_context():
            db.engine().dispose()


@pytest.fixture
def app(make_app: Callable[..., Shop]) -> Shop:
    return make_app()


@pytest.fixture
def client(app: Shop) -> Browser:
    client = app.test_client()
    assert isinstance(client, Browser)
    return client


@pytest.fixture
def statements(app: Shop) -> Iterator[list[str]]:
    """The SQL that the app has executed so far; empty it with `clear()`."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    with app.app_context():
        engine = db.engine()
    sa.event.listen(engine, "before_cursor_execute", note)
    yield seen
    sa.event.remove(engine, "before_cursor_execute", note)


@pytest.fixture
def runner(app: Shop) -> FlaskCliRunner:
    return app.test_cli_runner()


@pytest.fixture
def sign_up(app: Shop) -> Callable[..., Browser]:
    """Register somebody; answers with their browser, signed in."""

    def sign_up(email: str, password: str = PASSWORD) -> Browser:
        client = app.test_client()
        assert isinstance(client, Browser)
        answer = client.submit("/register", email=email, password=password, password_confirm=password)
        assert answer.status_code == 302, answer.get_data(as_text=True)
        return client

    return sign_up


@pytest.fixture
def signed_in(sign_up: Callable[..., Browser]) -> Browser:
    return sign_up("alice@example.com")


@pytest.fixture(scope="session")
def sandbox_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """One sandbox for all tests, which judges every request and answer by stripe-python's types."""
    with SandboxProcess(tmp_path_factory.mktemp("sandbox") / "state.db", "--check") as process:
        yield process


@pytest.fixture
def sandbox(sandbox_process: SandboxProcess) -> Iterator[SandboxProcess]:
    """An empty world, and at the end not one violation of Stripe's types."""
    sandbox_process.reset()
    yield sandbox_process
    assert sandbox_process.violations() == []


@pytest.fixture
def shop_settings() -> dict[str, Any]:
    """Settings in which a test's shop differs from the others."""
    return {}


@pytest.fixture
def shop(
    sandbox: SandboxProcess, make_app: Callable[..., Shop], shop_settings: dict[str, Any]
) -> Iterator[RunningShop]:
    """The shop on a real port, its catalogue in the sandbox, its webhook endpoint registered there."""
    port = free_port()
    url = f"http://localhost:{port}"
    endpoint = sandbox.client.v1.webhook_endpoints.create({"url": f"{url}/webhook", "enabled_events": ["*"]})
    app = make_app(
        BASE_URL=url,
        STRIPE_API_BASE=sandbox.url,
        STRIPE_JS_URL=f"{sandbox.url}/endive/stripe.js",
        STRIPE_WEBHOOK_SECRET=endpoint.secret,
        **shop_settings,
    )
    with served(app, port):
        running = RunningShop(app, sandbox)
        running.stock()
        running.settle()
        yield running
        running.settle()
