"""`flask staff add | remove | list`: the one way to become staff, and to be it no more."""

import pytest
import sqlalchemy as sa

import db
from models import User
from tests.conftest import PASSWORD


@pytest.fixture
def staff(app):
    """Run a command; says its exit code and what it printed."""

    def run(*words):
        result = app.test_cli_runner().invoke(args=["staff", *words])
        return result.exit_code, result.output.strip()

    return run


@pytest.fixture
def confirmed(app, signed_in):
    """Alice, who has confirmed her address."""
    with app.app_context(), db.write() as tx:
        tx.execute(sa.update(User).values(confirmed_at=sa.func.current_timestamp()))
    return signed_in


def test_who_has_no_account_gets_one_with_a_password_told_once(staff, client):
    """Twice is a success, and tells no other."""
    code, told = staff("add", "Sam@Example.com")
    assert (code, told.startswith("Sam@Example.com is staff. Password: ")) == (0, True)
    assert staff("add", "sam@example.com") == (0, "sam@example.com is staff.")

    client.submit("/login", email="sam@example.com", password=told.rsplit(" ", 1)[1])

    assert client.get("/staff/customers").status_code == 200


def test_a_customer_who_becomes_staff_keeps_account_and_password(staff, confirmed):
    """And is let in at once."""
    assert confirmed.get("/staff/customers").status_code == 403

    assert staff("add", "alice@example.com") == (0, "alice@example.com is staff.")

    assert confirmed.get("/staff/customers").status_code == 200


def test_who_has_signed_up_with_an_address_that_may_not_be_theirs_is_made_no_staff(staff, signed_in):
    """Anybody can sign up as the boss and wait."""
    code, told = staff("add", "alice@example.com")

    assert (code, "has not confirmed" in told, "http://localhost/confirm" in told) == (1, True, True)
    assert signed_in.get("/staff/customers").status_code == 403


def test_who_is_removed_is_out_at_once_and_a_customer_still(staff, confirmed):
    """In the middle of a session; twice is a success."""
    staff("add", "alice@example.com")

    assert staff("remove", "ALICE@example.com") == (0, "ALICE@example.com is staff no more.")

    assert (confirmed.get("/staff/customers").status_code, confirmed.get("/account").status_code) == (403, 200)
    assert staff("remove", "alice@example.com") == (0, "alice@example.com was not staff.")


def test_all_staff_are_listed_and_nobody_else(staff, signed_in):
    """In order."""
    assert staff("list") == (0, "")
    staff("add", "zoe@example.com")
    staff("add", "bob@example.com")

    assert staff("list") == (0, "bob@example.com\nzoe@example.com")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("add", "no-address"), "'no-address' is not an e-mail address"),
        (("remove", "no-address"), "'no-address' is not an e-mail address"),
        (("remove", "nobody@example.com"), "there is no account for nobody@example.com"),
    ],
)
def test_what_makes_no_sense_is_told(staff, words, told):
    """And ends with 1."""
    assert staff(*words) == (1, f"Error: {told}")


def test_a_new_members_password_is_not_the_old_ones(staff):
    """Each is made up anew."""
    told = {staff("add", f"{name}@example.com")[1].rsplit(" ", 1)[1] for name in ("a", "b")}
    assert len(told | {PASSWORD}) == 3
