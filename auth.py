"""Accounts: who is signed in, and who may do what.

Flask-Security does registering, logging in, resetting and changing passwords; here is what is special about ours, with
one CSRF guard for the whole app, and guards for views.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import sqlalchemy.exc
from flask import Flask, current_app, flash, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_security import change_email, forms, signals
from flask_security.core import RoleMixin, Security
from flask_security.datastore import SQLAlchemySessionUserDatastore
from flask_security.utils import validate_redirect_url
from flask_wtf.csrf import CSRFProtect
from wtforms import EmailField, PasswordField, SubmitField

import clock
import db
import errors
import mail
from models import User
from throttle import limit_payments as limit_payments
from throttle import limit_questions as limit_questions

View = TypeVar("View", bound=Callable[..., Any])

LONGEST_VALUE = 2000  # characters in one field of an account form; more is nobody's password
FORM_MINUTES = 10  # for a form that was opened while the password was fresh
NOBODYS_PASSWORD = "$argon2id$nobody"  # noqa: S105 what a reset link is made from where there is no account

# As OWASP has it: some 20 ms and 19 MiB for each guess.
ARGON2 = {
    "argon2__type": "ID",
    "argon2__memory_cost": 19 * 1024,  # KiB
    "argon2__time_cost": 2,
    "argon2__parallelism": 1,
}

csrf = CSRFProtect()


class AddressTaken(Exception):
    """Two people, or one twice, registered or confirmed one address at the same moment."""


class Users(SQLAlchemySessionUserDatastore):
    """Flask-Security's way to our users."""

    def _prepare_create_user_args(self, **kwargs: Any) -> dict[str, Any]:
        return {"active": True, "fs_uniquifier": uuid.uuid4().hex, **kwargs}

    def create_user(self, **kwargs: Any) -> User:
        """Store the user at once, before any mail to them is written."""
        user = super().create_user(**kwargs)
        try:
            db.session.commit()
        except sqlalchemy.exc.IntegrityError as error:
            db.session.rollback()
            raise AddressTaken from error
        return cast(User, user)

    def put(self, model: Any) -> Any:
        """Store it at once: what is told of a new address must be true by then."""
        super().put(model)  # type: ignore[no-untyped-call]
        try:
            db.session.commit()
        except sqlalchemy.exc.IntegrityError as error:
            db.session.rollback()
            raise AddressTaken from error
        return model


class LoginForm(forms.LoginForm):
    remember = None  # a session lasts SESSION_LIFETIME for everybody

    def validate_next(self, field: Any) -> None:
        drop_foreign_address(field)


class RegisterForm(forms.RegisterFormV2):
    def validate_next(self, field: Any) -> None:
        drop_foreign_address(field)


def drop_foreign_address(field: Any) -> None:
    """Forget a `next` that leads out of the shop, and go on without it."""
    if field.data and not validate_redirect_url(field.data):
        field.data = ""


class ToAnyAddress(forms.Form):
    """A form that makes a mail, and does the same work whether or not there is an account to write to."""

    email = EmailField("E-mail", validators=[forms.email_required, forms.EmailValidation(verify=False)])
    submit = SubmitField("Send")
    requires_confirmation = False
    user: User | None = None

    def validate(self, **kwargs: Any) -> bool:
        if not super().validate(**kwargs):
            return False
        user = current_app.extensions["security"].datastore.find_user(email=self.email.data)
        self.user = user if user is not None and self.may_be_written_to(user) else nobody(self.email.data)
        return True

    def may_be_written_to(self, user: User) -> bool:
        return user.active


class ChangeEmailForm(change_email.ChangeEmailForm):
    """Asks for the password: a browser left open must not be enough to take an account over."""

    password = PasswordField("Your password", validators=[forms.password_required])

    def validate(self, **kwargs: Any) -> bool:
        valid = bool(super().validate(**kwargs))
        if not current_user.verify_and_update_password(self.password.data or ""):
            self.password.errors = ["This is not your password."]
            return False
        return valid


class ForgotPasswordForm(ToAnyAddress):
    pass


class SendConfirmationForm(ToAnyAddress):
    def may_be_written_to(self, user: User) -> bool:
        return user.active and user.confirmed_at is None


def nobody(email: str) -> User:
    """A user who is in no table; mail.py takes mails for them like any other, and never sends one."""
    return User(email=email, password=NOBODYS_PASSWORD, active=True, fs_uniquifier=uuid.uuid4().hex)


def init_app(app: Flask) -> None:
    """Give the app its accounts, its CSRF guard and its sessions."""
    configure(app)
    csrf.init_app(app)
    security = Security(
        datastore=Users(db.session, User, RoleMixin),
        login_form=LoginForm,
        register_form=RegisterForm,
        forgot_password_form=ForgotPasswordForm,
        send_confirmation_form=SendConfirmationForm,
        change_email_form=ChangeEmailForm,
        mail_util_cls=mail.MailUtil,
    )
    security.want_json(lambda _request: False)
    security.unauthn_handler(lambda *_args, **_kwargs: current_app.make_response(ask_to_sign_in()))
    security.init_app(app)
    # Its own loader would parse the body of every webhook and take `?auth_token=` for a sign-in ...
    app.login_manager.request_loader(lambda _request: None)  # type: ignore[attr-defined]
    # ... and this one would read the user from the database for every request, also where nobody asks who it is.
    security.principal.identity_loaders.clear()
    app.before_request(refuse_odd_forms)
    app.register_error_handler(AddressTaken, _on_address_taken)
    signals.user_authenticated.connect(_keep_session, app)
    signals.user_not_registered.connect(_say_how_to_go_on, app)
    signals.change_email_confirmed.connect(_end_other_sessions, app)


def configure(app: Flask) -> None:
    https = app.config["BASE_URL"].startswith("https://")
    defaults = {
        "SESSION_COOKIE_NAME": "shop_session",
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",  # Strict would sign people out on their way back from 3D Secure
        "SESSION_COOKIE_SECURE": https,
        "SESSION_REFRESH_EACH_REQUEST": False,
        "PERMANENT_SESSION_LIFETIME": dt.timedelta(days=30),
        "WTF_CSRF_TIME_LIMIT": None,  # a payment page may stay open for an hour
        "SECURITY_REGISTERABLE": True,
        "SECURITY_CONFIRMABLE": True,
        "SECURITY_LOGIN_WITHOUT_CONFIRMATION": True,
        "SECURITY_RECOVERABLE": True,
        "SECURITY_CHANGEABLE": True,
        "SECURITY_CHANGE_EMAIL": True,
        "SECURITY_CHANGE_EMAIL_WITHIN": dt.timedelta(hours=2),
        "SECURITY_RESET_PASSWORD_WITHIN": dt.timedelta(hours=2),
        "SECURITY_FRESHNESS": dt.timedelta(minutes=app.config["STAFF_FRESH_MINUTES"]),
        "SECURITY_POST_VERIFY_VIEW": "/account",
        "SECURITY_API_ENABLED_METHODS": ["session"],
        "SECURITY_RETURN_GENERIC_RESPONSES": True,
        "SECURITY_PASSWORD_HASH": "argon2",
        "SECURITY_PASSWORD_SCHEMES": ["argon2"],
        "SECURITY_PASSWORD_HASH_PASSLIB_OPTIONS": ARGON2,
        # Makes the links in mails from a password's hash, which is random already: a slow hash would only cost time.
        "SECURITY_HASHING_SCHEMES": ["hex_sha256"],
        "SECURITY_PASSWORD_LENGTH_MIN": 8,
        "SECURITY_JOIN_USER_ROLES": False,
        "SECURITY_USER_IDENTITY_ATTRIBUTES": [{"email": {"mapper": mail.normalized, "case_insensitive": False}}],
        "SECURITY_EMAIL_SENDER": app.config["MAIL_FROM"],
        "SECURITY_POST_LOGIN_VIEW": "/account",
        "SECURITY_POST_CHANGE_VIEW": "/account",
        "SECURITY_POST_CHANGE_EMAIL_VIEW": "/account",
        "SECURITY_POST_CONFIRM_VIEW": "/account",
        "SECURITY_POST_LOGOUT_VIEW": "/",
        "SECURITY_POST_REGISTER_VIEW": "/",
        "SECURITY_STATIC_FOLDER": None,
        "SECURITY_CACHE_CONTROL": None,  # app.py does that for every page
        "SECURITY_CLI_USERS_NAME": None,
        "SECURITY_CLI_ROLES_NAME": None,
        **WORDS,
    }
    for name, value in defaults.items():
        app.config.setdefault(name, value) if name.startswith("SECURITY_") else app.config.update({name: value})


WORDS = {
    "SECURITY_MSG_API_ERROR": ("This link does not work, or not any more. Ask for a new one.", "error"),
    "SECURITY_MSG_REAUTHENTICATION_SUCCESSFUL": ("Thank you. Go on where you were.", "info"),
    "SECURITY_MSG_GENERIC_AUTHN_FAILED": ("This e-mail address and password do not belong together.", "error"),
    "SECURITY_MSG_CONFIRM_REGISTRATION": ("We have just written to %(email)s. Follow the link in that mail.", "info"),
    "SECURITY_MSG_PASSWORD_RESET_REQUEST": (
        "If there is an account for %(email)s, a mail with a link to a new password is on its way.",
        "info",
    ),
    "SECURITY_MSG_CONFIRMATION_REQUEST": (
        "If there is an account for %(email)s to confirm, a mail with a link is on its way.",
        "info",
    ),
}


def refuse_odd_forms() -> None:
    """Account forms take forms only, with values as long as a person's."""
    if request.blueprint != "security":
        return
    if request.is_json:
        raise errors.Problem(415, "unsupported_media_type", errors.MESSAGES[415])
    for name, value in request.form.items(multi=True):
        if len(value) > LONGEST_VALUE or "\0" in value:
            raise errors.Problem(400, "invalid_field", f"{name[:40]} is too long or holds odd characters.")


def _on_address_taken(_error: AddressTaken) -> ResponseReturnValue:
    if request.endpoint == "security.change_email_confirm":
        flash(*WORDS["SECURITY_MSG_API_ERROR"])
        return redirect(url_for("security.change_email"), 303)
    flash("There is an account for this address already. Log in, or reset its password.", "info")
    return redirect(url_for("security.login"), 303)


def _keep_session(_app: Flask, **_kwargs: Any) -> None:
    session.permanent = True


def _end_other_sessions(_app: Flask, user: User, **_kwargs: Any) -> None:
    """With a new address: a link to a new password that went to the old one must not open the account any more."""
    is_own = current_user.is_authenticated and current_user.id == user.id
    current_app.extensions["security"].datastore.set_uniquifier(user)
    if is_own:
        session["_user_id"] = user.get_id()


def _say_how_to_go_on(_app: Flask, **_kwargs: Any) -> None:
    flash("If you have an account already, log in, or follow the link in that mail.", "info")


# Guards


def ask_to_sign_in() -> ResponseReturnValue:
    """To the log-in page and back here; 401 where the answer is JSON."""
    if errors.is_json_route():
        raise errors.Problem(401, "not_signed_in", errors.MESSAGES[401])
    if request.method != "GET":
        return redirect(url_for("security.login"), 303)
    # The query of the return page carries a client secret, which must not travel on.
    here = request.path if b"client_secret" in request.query_string else request.full_path.rstrip("?")
    return redirect(url_for("security.login", next=here))


def customer_required(view: View) -> View:
    """Only for those who are signed in."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if not current_user.is_authenticated:
            return ask_to_sign_in()
        return view(*args, **kwargs)

    return cast(View, guarded)


def staff_required(view: View) -> View:
    """Only for staff who typed their password a short while ago; 403 for customers."""

    @wraps(view)
    @customer_required
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if not current_user.is_staff:
            raise errors.Problem(403, "forbidden", errors.MESSAGES[403])
        if not has_fresh_password():
            return ask_for_password()
        return view(*args, **kwargs)

    return cast(View, guarded)


def has_fresh_password() -> bool:
    """Whether this session's password was typed within STAFF_FRESH_MINUTES; what was begun then may be finished."""
    minutes = current_app.config["STAFF_FRESH_MINUTES"] + (FORM_MINUTES if request.method == "POST" else 0)
    typed_at: float = session.get("fs_paa", 0)  # Flask-Security notes it
    return bool(clock.wall() - typed_at < minutes * 60)


def ask_for_password() -> ResponseReturnValue:
    """To the page that asks for it once more, and back to the page that was open."""
    here = request.full_path.rstrip("?")
    if request.method == "POST":
        came_from = urlsplit(request.referrer or "")
        here = f"{came_from.path}?{came_from.query}".rstrip("?") or "/"
        flash("Nothing was done yet. Type your password, then do it again.", "warning")
    return redirect(url_for("security.verify", next=here), 303)
