"""Who may see staff pages, and for how long."""

import time

import pytest
import sqlalchemy as sa

import db
from models import User
from tests.shop import PASSWORD
from tests.staff.people import actions, cancel


@pytest.fixture
def later(monkeypatch):
    """Let minutes pass on the wall clock."""
    real = time.time
    passed: list[float] = []
    monkeypatch.setattr(time, "time", lambda: real() + 60 * sum(passed))
    return passed.append


def test_staff_pages_ask_for_the_password_again_after_half_an_hour(alice, sam, later):
    """Then one goes on where one was; other pages do not ask."""
    later(29)
    assert "alice@example.com" in sam.get("/staff/customers").text
    later(2)

    asked = sam.get("/staff/customers", params={"q": "alice"})
    assert "/verify?next=" in asked.url
    assert "alice@example.com" not in asked.text
    assert sam.get("/account").url.endswith("/account")
    path = asked.url.removeprefix(sam.url)
    assert "/verify" in sam.submit(path, password="not it at all").url
    assert sam.submit(path, password=sam.password).url == f"{sam.url}/staff/customers?q=alice"


def test_a_form_that_was_opened_in_time_can_still_be_sent(alice, sam, later, shop):
    """Nobody types a reason twice for a minute's sake."""
    later(38)

    cancel(sam, alice)

    assert [row["state"] for row in actions(shop)] == ["done"]


def test_a_form_that_is_too_old_does_nothing_and_leads_back(alice, sam, later, shop):
    """The password first, then the page it was on."""
    later(41)
    page = f"{sam.url}/staff/customers/{alice.id}?show=events"
    fields = {"csrf_token": sam.token(), "subscription": alice.subscription, "when": "now", "reason": "x"}

    answer = sam.session.post(
        f"{sam.url}/staff/customers/{alice.id}/cancel", data=fields, headers={"Referer": page}, timeout=30
    )

    assert "Nothing was done yet." in answer.text
    assert actions(shop) == []
    assert sam.submit(answer.url.removeprefix(sam.url), password=sam.password).url == page


def test_the_way_back_leads_nowhere_else(alice, sam, later):
    """A forged referrer is a path of ours at most."""
    later(41)
    fields = {"csrf_token": sam.token()}

    answer = sam.session.post(
        f"{sam.url}/staff/customers/{alice.id}/resync",
        data=fields,
        headers={"Referer": "https://evil.example/\\evil.example"},
        timeout=30,
    )

    assert sam.submit(answer.url.removeprefix(sam.url), password=sam.password).url.startswith(sam.url)


def test_customers_are_refused_and_strangers_log_in(alice, shop):
    """403 and /login; nothing is told about anybody."""
    for path in ("/staff/customers", f"/staff/customers/{alice.id}", "/staff/events"):
        assert alice.get(path).status_code == 403
        assert "/login?next=" in shop.visitor().get(path).url
    for path in (
        f"/staff/customers/{alice.id}/cancel",
        f"/staff/customers/{alice.id}/resync",
        "/staff/events/e/replay",
    ):
        assert alice.submit(path, reason="x").status_code == 403
        assert shop.visitor().submit(path, reason="x").url.endswith("/login")
    assert actions(shop) == []


def test_who_is_staff_no_more_is_refused_at_once(alice, sam, shop):
    """Also within a session."""
    with shop.app.app_context(), db.write() as tx:
        tx.execute(sa.update(User).values(is_staff=False))

    assert sam.get("/staff/customers").status_code == 403


def test_no_page_of_staffs_is_kept_by_the_browser(alice, sam):
    """What is shown is about others."""
    for path in ("/staff/customers", f"/staff/customers/{alice.id}", "/staff/events"):
        assert sam.get(path).headers["Cache-Control"] == "no-store"


def test_guesses_at_the_password_are_counted(make_app):
    """Like those at the log-in page."""
    client = make_app(RATELIMIT_ENABLED="true", LIMIT_LOGIN_ACCOUNT="3 per 15 minutes").test_client()
    client.submit("/register", email="eve@example.com", password=PASSWORD, password_confirm=PASSWORD)

    assert [client.submit("/verify", password="a guess").status_code for _ in range(4)] == [200, 200, 200, 429]
