"""Who is staff: `flask staff add | remove | list`. There is no other way to become staff."""

from __future__ import annotations

import datetime as dt
import secrets
from typing import cast

import sqlalchemy as sa
from flask import current_app, url_for
from flask_security.utils import hash_password

import db
import mail
from auth import Users
from models import User


def add(email: str) -> str | None:
    """Make the account of `email` one of staff, with a new account where there is none.

    Returns the new account's password, which is stored nowhere, or None if there was an account.
    Raises ValueError if the address is none, or if nobody has confirmed that the account's address is theirs.
    """
    users: Users = current_app.extensions["security"].datastore
    address, user = _account(email)
    password = None
    if user is None:
        password = secrets.token_urlsafe(12)
        now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
        user = users.create_user(email=address, password=hash_password(password), confirmed_at=now)
    elif user.confirmed_at is None:
        another = url_for("security.send_confirmation", _external=True)
        raise ValueError(
            f"somebody has signed up as {address}, but has not confirmed that the address is theirs: it may be "
            f"anybody. They must follow the link in their mail first; {another} sends another"
        )
    _set(user, is_staff=True)
    return password


def remove(email: str) -> bool:
    """Make the account of `email` a customer's like any other, at once. False if it was not one of staff.

    Raises ValueError if there is no such account.
    """
    address, user = _account(email)
    if user is None:
        raise ValueError(f"there is no account for {address}")
    was_staff = user.is_staff
    _set(user, is_staff=False)
    return was_staff


def everybody() -> list[str]:
    """The addresses of all staff."""
    return list(db.session.scalars(sa.select(User.email).where(User.is_staff).order_by(User.email)))


def _account(email: str) -> tuple[str, User | None]:
    address = mail.normalized(email)
    if address is None:
        raise ValueError(f"{email!r} is not an e-mail address")
    users: Users = current_app.extensions["security"].datastore
    return address, cast("User | None", users.find_user(email=address))


def _set(user: User, *, is_staff: bool) -> None:
    user.is_staff = is_staff
    db.session.add(user)
    db.session.commit()
