"""Every refusal is told in the asker's language, names its cause, and gives nothing away."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from flask import Blueprint, abort

import auth
import billing
from app import Shop
from errors import Bool, Int, Object, Problem, Str, json_fields, json_route
from tests.conftest import Browser


def rooms() -> Blueprint:
    """Views that do what views do wrong."""
    rooms = Blueprint("rooms", __name__)

    @rooms.post("/json")
    @json_route
    def read_json() -> Any:
        return json_fields(
            name=Str(10),
            reason=Str(20, default=None, choices=("unused", "other")),
            at_once=Bool(default=False),
            seats=Int(1, 9, default=1),
            address=Object(default=None, line1=Str(20), city=Str(20, default=None)),
        )

    @rooms.get("/json/status/<int:status>")
    @json_route
    def json_status(status: int) -> Any:
        abort(status)

    @rooms.get("/page/status/<int:status>")
    def page_status(status: int) -> Any:
        abort(status)

    @rooms.get("/json/problem")
    @json_route
    def json_problem() -> Any:
        raise Problem(409, "already_subscribed", "You have a plan.", url="/account", retry_after=3)

    @rooms.get("/page/problem")
    def page_problem() -> Any:
        raise Problem(409, "already_subscribed", "You have a plan <b>.", url="/account")

    @rooms.get("/json/crash")
    @json_route
    def json_crash() -> Any:
        raise RuntimeError("the key is sk_test_verysecret and pi_1_secret_alsosecret")

    @rooms.get("/page/crash")
    def page_crash() -> Any:
        raise RuntimeError("the key is sk_test_verysecret")

    @rooms.get("/json/billing")
    @json_route
    def json_billing() -> Any:
        error = billing.Unavailable(request_id="req_1")
        error.retry_after = 7
        raise error

    @rooms.get("/json/customer")
    @auth.customer_required
    @json_route
    def json_customer() -> Any:
        return {"in": True}

    @rooms.get("/json/staff")
    @auth.staff_required
    @json_route
    def json_staff() -> Any:
        return {"in": True}

    return rooms


@pytest.fixture
def app(make_app: Callable[..., Shop]) -> Shop:
    app = make_app()
    app.register_blueprint(rooms())
    return app


def error(answer: Any) -> dict[str, Any]:
    assert answer.mimetype == "application/json"
    found: dict[str, Any] = answer.json["error"]
    assert found["request_id"] == answer.headers["X-Request-ID"]
    return found


@pytest.mark.parametrize("status", [400, 403, 404, 409, 413, 429, 500, 503])
def test_a_json_route_fails_in_json_whatever_is_accepted(client: Browser, status: int) -> None:
    answer = client.get(f"/json/status/{status}", headers={"Accept": "text/html"})
    assert answer.status_code == status
    assert set(error(answer)) == {"code", "message", "request_id"}


@pytest.mark.parametrize("status", [400, 403, 404, 405, 409, 413, 415, 429, 500, 503])
def test_a_page_fails_with_our_page(client: Browser, status: int) -> None:
    answer = client.get(f"/page/status/{status}", headers={"Accept": "application/json"})
    assert answer.status_code == status
    assert answer.mimetype == "text/html"
    page = answer.get_data(as_text=True)
    assert "<h1>" in page
    assert "Lantern" in page
    assert answer.headers["X-Request-ID"] in page


def test_a_wrong_content_type_is_a_400_on_a_json_route(client: Browser) -> None:
    assert client.get("/json/status/415").status_code == 400


def test_a_wrong_method_on_a_json_route_is_told_in_json_with_the_right_ones(client: Browser) -> None:
    answer = client.get("/json")
    assert answer.status_code == 405
    assert error(answer)["code"] == "method_not_allowed"
    assert "POST" in answer.headers["Allow"]


def test_an_unknown_address_is_a_page(client: Browser) -> None:
    answer = client.get("/nowhere")
    assert answer.status_code == 404
    assert answer.mimetype == "text/html"


def test_a_problem_carries_its_extras_and_the_wait(client: Browser) -> None:
    answer = client.get("/json/problem")
    assert answer.status_code == 409
    assert answer.headers["Retry-After"] == "3"
    assert error(answer)["code"] == "already_subscribed"
    assert error(answer)["url"] == "/account"


def test_a_problem_on_a_page_is_escaped(client: Browser) -> None:
    page = client.get("/page/problem").get_data(as_text=True)
    assert "You have a plan &lt;b&gt;." in page


def test_stripe_failing_is_told_with_its_status_and_wait(client: Browser) -> None:
    answer = client.get("/json/billing")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "7"
    assert error(answer)["code"] == "billing_unavailable"
    assert "req_1" not in answer.get_data(as_text=True)


@pytest.mark.parametrize("path", ["/json/crash", "/page/crash"])
def test_a_crash_is_logged_with_its_request_and_says_nothing(
    client: Browser, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = client.get(f"{path}?payment_intent_client_secret=pi_1_secret_x")
    assert answer.status_code == 500
    body = answer.get_data(as_text=True)
    assert "RuntimeError" not in body
    assert "sk_test" not in body
    assert f"exception on GET {path}" in caplog.text
    assert "client_secret" not in caplog.text


def test_an_error_page_needs_no_database(client: Browser, app: Shop, signed_in: Browser) -> None:
    with app.app_context():
        import db

        with db.write() as tx:
            tx.exec_driver_sql("DROP TABLE users")
    answer = signed_in.get("/page/status/404")
    assert answer.status_code == 404
    assert "<h1>There is nothing here</h1>" in answer.get_data(as_text=True)


def test_json_without_a_csrf_token_is_refused_in_json(client: Browser) -> None:
    answer = client.post("/json", json={"name": "a"})
    assert answer.status_code == 400
    assert error(answer)["code"] == "csrf"


def test_json_for_customers_only_is_a_401_for_others(client: Browser) -> None:
    answer = client.get("/json/customer")
    assert answer.status_code == 401
    assert error(answer)["code"] == "not_signed_in"


def test_json_for_staff_only_is_a_403_for_customers(signed_in: Browser) -> None:
    answer = signed_in.get("/json/staff")
    assert answer.status_code == 403
    assert error(answer)["code"] == "forbidden"


def test_fields_left_out_have_their_defaults(client: Browser) -> None:
    answer = client.send("/json", name="Ada", reason=None)
    assert answer.json == {"name": "Ada", "reason": None, "at_once": False, "seats": 1, "address": None}


def test_an_object_has_fields_of_its_own(client: Browser) -> None:
    answer = client.send("/json", name="Ada", address={"line1": "Main St 1"})
    assert answer.json["address"] == {"line1": "Main St 1"}


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({}, "name"),
        ({"name": None}, "name"),
        ({"name": ""}, "name"),
        ({"name": 1}, "name"),
        ({"name": ["a"]}, "name"),
        ({"name": "a" * 11}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"name": "a", "reason": "no such"}, "reason"),
        ({"name": "a", "at_once": "yes"}, "at_once"),
        ({"name": "a", "at_once": 1}, "at_once"),
        ({"name": "a", "seats": True}, "seats"),
        ({"name": "a", "seats": 1.5}, "seats"),
        ({"name": "a", "seats": 10}, "seats"),
        ({"name": "a", "seats": 10**40}, "seats"),
        ({"name": "a", "address": "Main St"}, "address"),
        ({"name": "a", "address": {}}, "address.line1"),
        ({"name": "a", "address": {"line1": "x", "zip": "1"}}, "address.zip"),
        ({"name": "a", "unknown": 1}, "unknown"),
        ({"name": "a", "__proto__": {}}, "__proto__"),
        ({"name": "a", "\ud800": 1}, "?"),
    ],
)
def test_a_wrong_field_is_named(client: Browser, fields: dict[str, Any], name: str) -> None:
    answer = client.send("/json", **fields)
    assert answer.status_code == 400
    assert error(answer)["code"] == "invalid_field"
    assert error(answer)["field"] == name
    assert error(answer)["message"].startswith(name)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"name"',
        b"1",
        b'{"name": NaN}',
        b'{"name": Infinity}',
        b'{"seats": ' + b"1" * 5000 + b"}",
        b"[" * 50_000,
        b'{"name": ' + b'{"a":' * 10_000 + b"1" + b"}" * 10_000 + b"}",
        b'{"name": "\xff"}',
        '{"name": "a"}'.encode("utf-16"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(client: Browser, body: bytes) -> None:
    headers = {"X-CSRFToken": client.csrf_token()}
    answer = client.post("/json", data=body, content_type="application/json", headers=headers)
    assert answer.status_code == 400
    assert error(answer)["code"] == "invalid_json"


def test_a_form_is_no_json(client: Browser) -> None:
    answer = client.submit("/json", name="Ada")
    assert answer.status_code == 400
    assert error(answer)["code"] == "invalid_json"


def test_a_body_too_large_is_a_413_in_json(client: Browser) -> None:
    answer = client.send("/json", name="a" * 70_000)
    assert answer.status_code == 413
    assert error(answer)["code"] == "too_large"
