"""What a person or a program is told when something does not work.

Pages get an error page; views marked with `@json_route` answer
`{"error": {"code", "message", "request_id"}}` whatever the request says it accepts, and read their body with
`json_fields(...)`, which names what is wrong with it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from http import HTTPStatus
from typing import Any, NoReturn, TypeVar, cast

import jinja2
from flask import Flask, Response, current_app, g, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from markupsafe import escape
from werkzeug.exceptions import HTTPException, MethodNotAllowed, SecurityError
from werkzeug.routing import RequestRedirect

import billing

View = TypeVar("View", bound=Callable[..., Any])

TITLES = {
    400: "That request did not work",
    402: "The payment did not go through",
    403: "This is not open to you",
    404: "There is nothing here",
    405: "That is not possible here",
    409: "That is not possible right now",
    413: "That was too large",
    415: "That kind of data is not understood",
    429: "Too many attempts",
    500: "Something went wrong on our side",
    502: "The payment provider could not do that",
    503: "We cannot do that right now",
}
MESSAGES = {
    400: "The page may be out of date. Go back, reload it and try again.",
    401: "Please log in first.",
    403: "Your account may not see this page.",
    404: "The address may be mistyped, or the page may be gone.",
    405: "This address does not take that kind of request.",
    409: "Something else is under way. Wait a moment and try again.",
    413: "What was sent is larger than this page accepts.",
    415: "This page accepts the data of a form only.",
    429: "Wait a little, then try again.",
    500: "It has been written down, and nothing was left half done. Try again in a moment.",
    503: "Try again in a moment.",
}
CODES = {
    400: "bad_request",
    401: "not_signed_in",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
    429: "too_many_requests",
    500: "internal_error",
    503: "unavailable",
}
CSRF_MESSAGE = "The page was open for too long, or cookies are off. Reload the page and try again."


class Problem(Exception):
    """An expected refusal, told to whoever asked.

    `code` is for programs and never changes, `message` is for people. `extra` joins the JSON error
    (`url`, `quote`, ...); `retry_after` (seconds) becomes the Retry-After header.
    """

    def __init__(self, status: int, code: str, message: str, *, retry_after: int | None = None, **extra: Any) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.retry_after, self.extra = status, code, message, retry_after, extra


def json_route(view: View) -> View:
    """Mark a view as JSON: all that goes wrong on the way to it or in it is told in JSON."""
    cast(Any, view).is_json_route = True
    return view


def is_json_route() -> bool:
    """Whether this request is for a view marked with `@json_route`."""
    endpoint = request.endpoint
    if endpoint is None and isinstance(request.routing_exception, MethodNotAllowed):
        endpoint = _endpoint_of_other_method(request.routing_exception)
    return hasattr(current_app.view_functions.get(endpoint or ""), "is_json_route")


def _endpoint_of_other_method(error: MethodNotAllowed) -> str | None:
    adapter = current_app.create_url_adapter(request)
    methods = list(error.valid_methods or ())
    if adapter is None or not methods:
        return None
    try:
        return cast(str, adapter.match(method=methods[0])[0])
    except (HTTPException, RequestRedirect):
        return None


def init_app(app: Flask) -> None:
    """Let every error of the app end here."""
    app.register_error_handler(Problem, _on_problem)
    app.register_error_handler(billing.BillingError, _on_billing_error)
    app.register_error_handler(CSRFError, _on_csrf_error)
    app.register_error_handler(HTTPException, _on_http_error)


def answer(
    status: int, code: str, message: str, *, retry_after: int | None = None, extra: dict[str, Any] | None = None
) -> ResponseReturnValue:
    """The error as this request's kind of answer: JSON or a page."""
    request_id = g.get("request_id")
    response: Response
    if is_json_route():
        error = {"code": code, "message": message, "request_id": request_id, **(extra or {})}
        response = jsonify(error=error)
    else:
        response = current_app.make_response(_page(status, message, request_id, (extra or {}).get("url")))
    response.status_code = status
    if retry_after is not None:
        response.headers["Retry-After"] = str(max(1, retry_after))
    return response


def _page(status: int, message: str, request_id: str | None, url: str | None) -> str:
    title = TITLES.get(status) or HTTPStatus(status).phrase
    bare = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<h1>{escape(title)}</h1><p>{escape(message)}</p>"
    )
    if isinstance(request.routing_exception, SecurityError):  # not our host: there are no addresses to link to
        return bare
    try:
        return render_template(
            "errors/error.html", code=status, title=title, message=message, request_id=request_id, url=url
        )
    except Exception as error:  # the page asks the database who is signed in; it may be what is down
        if not isinstance(error, jinja2.TemplateNotFound):
            current_app.logger.warning("the error page could not be shown", exc_info=error)
        return bare


def _on_problem(problem: Problem) -> ResponseReturnValue:
    return answer(problem.status, problem.code, problem.message, retry_after=problem.retry_after, extra=problem.extra)


def _on_billing_error(error: billing.BillingError) -> ResponseReturnValue:
    if error.status >= 500:
        current_app.logger.warning("%s: %s, Stripe's request %s", request.endpoint, error.code, error.request_id)
    return answer(error.status, error.code, error.message, retry_after=error.retry_after)


def _on_csrf_error(_error: CSRFError) -> ResponseReturnValue:
    return answer(400, "csrf", CSRF_MESSAGE)


def _on_http_error(error: HTTPException) -> ResponseReturnValue:
    if error.response is not None:
        return cast(Response, error.response)
    status = error.code or 500
    if status < 400:
        return cast(ResponseReturnValue, error.get_response())
    if status == 415 and is_json_route():
        status = 400
    response = current_app.make_response(
        answer(status, CODES.get(status, "error"), MESSAGES.get(status, error.name + "."))
    )
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        response.headers["Allow"] = ", ".join(error.valid_methods)
    return response


# What a JSON route is sent

REQUIRED: Any = object()


@dataclass(frozen=True)
class Field:
    """One named value of a JSON body. With a `default` it may be left out or null."""

    _: KW_ONLY
    default: Any = REQUIRED

    def read(self, name: str, value: Any) -> Any:
        """The value, checked. Raises Problem, naming the field."""
        raise NotImplementedError


@dataclass(frozen=True)
class Str(Field):
    """Text of 1 to `longest` characters, of `choices` if there are any."""

    longest: int = 255
    _: KW_ONLY
    choices: tuple[str, ...] = ()

    def read(self, name: str, value: Any) -> str:
        if not isinstance(value, str):
            invalid(name, "must be text")
        if not 1 <= len(value) <= self.longest:
            invalid(name, f"must have 1 to {self.longest} characters")
        if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in value):
            invalid(name, "holds characters that are no text")
        if self.choices and value not in self.choices:
            invalid(name, f"must be one of {', '.join(self.choices)}")
        return value


@dataclass(frozen=True)
class Bool(Field):
    def read(self, name: str, value: Any) -> bool:
        if not isinstance(value, bool):
            invalid(name, "must be true or false")
        return value


@dataclass(frozen=True)
class Int(Field):
    """A whole number from `least` to `most`."""

    least: int = 0
    most: int = 2**53

    def read(self, name: str, value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            invalid(name, "must be a whole number")
        if not self.least <= value <= self.most:
            invalid(name, f"must be from {self.least} to {self.most}")
        return value


class Object(Field):
    """An object with fields of its own; those that were left out stay out."""

    def __init__(self, *, default: Any = REQUIRED, **fields: Field) -> None:
        super().__init__(default=default)
        object.__setattr__(self, "fields", fields)

    def read(self, name: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            invalid(name, "must be an object")
        fields: dict[str, Field] = cast(Any, self).fields
        read = _read_fields(fields, value, f"{name}.")
        return {key: found for key, found in read.items() if found is not None}


def json_fields(**fields: Field) -> dict[str, Any]:
    """The fields of this request's JSON body, each checked, with defaults for those left out.

    Raises Problem (400): `invalid_json` for a body that is no JSON object, `invalid_field` naming the field.
    """
    if request.mimetype != "application/json":
        raise Problem(400, "invalid_json", "The body must be JSON, sent with Content-Type: application/json.")
    try:
        body = json.loads(request.get_data().decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Problem(400, "invalid_json", "The body is not valid JSON.") from error
    if not isinstance(body, dict):
        raise Problem(400, "invalid_json", "The body must be a JSON object.")
    return _read_fields(fields, body, "")


def _read_fields(fields: dict[str, Field], body: dict[str, Any], prefix: str) -> dict[str, Any]:
    for name in body.keys() - fields.keys():
        invalid(f"{prefix}{name}"[:80].encode("ascii", "replace").decode(), "is not known here")
    return {name: _read(field, prefix + name, body.get(name)) for name, field in fields.items()}


def _read(field: Field, name: str, value: Any) -> Any:
    if value is not None:
        return field.read(name, value)
    if field.default is REQUIRED:
        invalid(name, "is missing")
    return field.default


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def invalid(name: str, why: str) -> NoReturn:
    """Refuse a field of the request, by its name."""
    raise Problem(400, "invalid_field", f"{name} {why}.", field=name)
