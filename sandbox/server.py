"""The sandbox as a Flask app and as a process."""

import json
import re
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, cast

from flask import Flask, Response, abort, current_app, request
from werkzeug.exceptions import HTTPException

from sandbox import API_VERSION, forms, wire
from sandbox.api import UNKNOWN_URL, Answer, Api, Call, api_key, is_publishable
from sandbox.clock import Clock
from sandbox.deliveries import Deliveries
from sandbox.errors import StripeError
from sandbox.events import Targets
from sandbox.faults import Fault, Faults
from sandbox.ids import random_text
from sandbox.jobs import Jobs
from sandbox.store import Store
from sandbox.world import Caller, World

MAX_BODY = 1024 * 1024
LOGGED_REQUESTS = 10_000
OWN_HOSTS = ("localhost", "127.0.0.1")
OWN_PAGES = re.compile(rf"https?://({'|'.join(map(re.escape, OWN_HOSTS))})(:\d+)?")
LONGEST_ADVANCE = 10 * 366 * 86400  # seconds at once: far enough for any story, near enough to come to an end
RESET_WAITS = 5.0  # seconds for a delivery that is under way
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD, PUT, PATCH, POST, DELETE",
    "Access-Control-Allow-Credentials": "true",
    "Access-Control-Max-Age": "300",
    "Access-Control-Expose-Headers": "Request-Id, Stripe-Manage-Version, Stripe-Should-Retry, "
    "X-Stripe-External-Auth-Required, X-Stripe-Privileged-Session-Required",
    "Cache-Control": "no-cache, no-store",
    "Vary": "Origin",
}
LOG = "https://dashboard.stripe.com/{}/test/workbench/logs?object={}"
SECRET_PARAMS = ("client_secret", "number", "cvc", "key")


class Sandbox:
    """The parts, wired together."""

    def __init__(self, state: str | Path, targets: Targets, say: Callable[[str], None], check: bool) -> None:
        self.store = Store(state)
        self.clock = Clock(self.store)
        self.targets = targets
        self.deliveries = Deliveries(self.store, self.clock, targets, say)
        self.jobs = Jobs(self.store, self.clock, lambda now: self.transaction(Caller(), now))
        self.faults = Faults()
        self.requests: deque[dict[str, Any]] = deque(maxlen=LOGGED_REQUESTS)
        self.violations: list[str] = []
        self.check = check
        self.api = Api(self.transaction)

    @contextmanager
    def transaction(self, caller: Caller, now: int | None = None) -> Iterator[World]:
        """The world for one transaction; what it caused to be delivered or scheduled is looked at afterwards."""
        with self.store.transaction():
            world = World(self.store, self.clock, caller, self.targets, now)
            yield world
        if world.happened:
            self.deliveries.wake()
        if world.scheduled:
            self.jobs.changed.set()

    @property
    def account(self) -> str:
        with self.store.lock:
            return self.store.setting("account")

    def reset(self) -> None:
        with self.clock.advancing, self.store.lock:
            self.store.reset()
            self.clock.reset()
        self.targets.mode, self.targets.disturbed = "deliver", ("*",)
        self.faults.clear()
        self.requests.clear()
        self.violations.clear()
        self.jobs.failures.clear()
        self.deliveries.idle(RESET_WAITS)

    def advance(self, to: int) -> None:
        """Move the world's time to `to`, let happen what falls due on the way. Raises ValueError if it is too far."""
        if to > self.clock.now() + LONGEST_ADVANCE:
            raise ValueError("the clock moves by ten years at once at most")
        self.jobs.advance(to)
        self.jobs.changed.set()
        self.deliveries.wake()

    def served_at(self, origin: str) -> None:
        """Say where this is, for the links to its pages."""
        with self.store.transaction():
            self.store.set_setting("origin", origin)

    def start(self) -> None:
        self.jobs.start()
        self.deliveries.start()

    def stop(self) -> None:
        self.jobs.stop()
        self.deliveries.stop()
        self.store.close()


def create_sandbox(
    state: str | Path = ":memory:",
    forward_to: tuple[str, ...] = (),
    events: tuple[str, ...] = ("*",),
    *,
    check: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Flask:
    """The app, its clockwork and deliveries not yet started (`app.extensions["sandbox"].start()`).

    state: the SQLite file that holds the world. forward_to: where events go, besides webhook endpoints.
    check: judge every request and answer by stripe-python's types. say: takes the lines that are printed.
    """
    app = Flask("sandbox")
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.config["TRUSTED_HOSTS"] = list(OWN_HOSTS)  # a stranger's name may have been made to lead here
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.extensions["sandbox"] = Sandbox(state, Targets(tuple(forward_to), tuple(events)), say, check)
    from sandbox.browser import browser
    from sandbox.control import control
    from sandbox.hosted import hosted
    from sandbox.page import page
    from sandbox.portal import portal

    app.register_blueprint(control)
    app.register_blueprint(hosted)
    app.register_blueprint(page)
    app.register_blueprint(browser)
    app.register_blueprint(portal)
    app.url_map.merge_slashes = False
    app.before_request(_refuse_strangers)
    app.before_request(_read_body)
    app.register_error_handler(HTTPException, _as_stripe_says_it)
    app.add_url_rule("/v1", view_func=v1, methods=METHODS, endpoint="v1_root", defaults={"rest": ""})
    app.add_url_rule("/v1/<path:rest>", view_func=v1, methods=METHODS, strict_slashes=False)
    return app


def running() -> Sandbox:
    """The sandbox that this request is for."""
    sandbox: Sandbox = current_app.extensions["sandbox"]
    return sandbox


def page_transaction() -> AbstractContextManager[World]:
    """A change by somebody on a page of the sandbox's own: it has a request id, and links lead back to that address."""
    return running().transaction(Caller("req_" + random_text(14), origin=request.host_url.rstrip("/")))


def comes_from_elsewhere() -> bool:
    """Whether a page of another address sent this request, be it one of this machine."""
    return bool(request.origin) and request.origin.partition("://")[2] != request.host


def _refuse_strangers() -> None:
    """The keys are no secret, so no page but those of this machine may use them in somebody's browser."""
    if request.origin is not None and not OWN_PAGES.fullmatch(request.origin):
        abort(403, f"The sandbox answers pages of {' and '.join(OWN_HOSTS)} only, not of {request.origin}")


def _read_body() -> None:
    """A connection that is kept open needs the body of each request read."""
    request.get_data()


def _as_stripe_says_it(problem: HTTPException) -> Response:
    """What goes wrong before an API request is looked at is told in JSON too."""
    if not request.path.startswith("/v1"):
        return cast(Response, problem.get_response())
    unknown = UNKNOWN_URL.format(request.method, request.path) if problem.code == 404 else None
    error = StripeError(unknown or problem.description or problem.name, status=problem.code or 400)
    return Response(wire.dump(error.body()), error.status, {**CORS, "Content-Type": "application/json"})


METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def v1(rest: str) -> Response:
    """Answer an API request."""
    sandbox = running()
    if request.method == "OPTIONS":
        asked = request.headers.get("Access-Control-Request-Headers", "")
        return Response("", 200, {**CORS, "Access-Control-Allow-Headers": asked})
    fault = sandbox.faults.take(request.method, request.path)
    if fault:
        time.sleep(fault.delay)
    if fault and fault.when == "before" and (fault.drop or fault.status):
        _log(sandbox, None, fault.status)
        return _befallen(sandbox, fault)
    response = _answered(sandbox)
    return _befallen(sandbox, fault) if fault and fault.when == "after" and (fault.drop or fault.status) else response


def _answered(sandbox: Sandbox) -> Response:
    try:
        form = forms.read(
            request.method, request.query_string, request.get_data(), request.headers.get("Content-Type", "")
        )
        is_publishable(api_key(request.headers, form))
    except StripeError as refused:
        _log(sandbox, None, refused.status)
        return _unauthorized(sandbox, refused)
    call = Call(request.method, request.path, form, request.headers, f"{request.scheme}://{request.host}")
    answer = sandbox.api.answer(call)
    _log(sandbox, call, answer.status)
    if sandbox.check:
        from sandbox.check import violations

        sandbox.violations += violations(call, answer)
    return _response(sandbox, call, answer)


def _response(sandbox: Sandbox, call: Call, answer: Answer) -> Response:
    headers = {**CORS, "Request-Id": call.id, "Stripe-Version": API_VERSION, "Content-Type": "application/json"}
    if call.method in ("POST", "DELETE") and "Idempotency-Key" in call.headers:
        headers["Idempotency-Key"] = call.headers["Idempotency-Key"]
    if call.method == "POST":
        headers["Original-Request"] = answer.original_request or call.id
        if answer.status in (200, 402):
            headers["Stripe-Should-Retry"] = "false"
        if answer.replayed:
            headers["Idempotent-Replayed"] = "true"
    if "error" in answer.body:
        answer.body["error"]["request_log_url"] = LOG.format(sandbox.account, answer.original_request or call.id)
    if answer.file is not None:
        return _dated(sandbox, Response(answer.file, 200, headers | {"Content-Type": "application/pdf"}))
    return _dated(sandbox, Response(wire.dump(answer.body), answer.status, headers))


def _unauthorized(sandbox: Sandbox, error: StripeError) -> Response:
    headers = {**CORS, "Content-Type": "application/json"}
    if error.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="Stripe"'
    return _dated(sandbox, Response(wire.dump(error.body()), error.status, headers))


def _dated(sandbox: Sandbox, response: Response) -> Response:
    response.headers["Date"] = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(sandbox.clock.now()))
    return response


def _befallen(sandbox: Sandbox, fault: Fault) -> Response:
    if fault.drop:
        connection: socket.socket | None = request.environ.get("werkzeug.socket")
        if connection:
            connection.shutdown(socket.SHUT_RDWR)
        return Response("", 500)
    id = "req_" + random_text(14)
    headers = {**CORS, "Content-Type": "application/json", "Request-Id": id, "Stripe-Version": API_VERSION}
    response = Response(wire.dump(fault.error().body()), fault.status, headers | fault.headers())
    return _dated(sandbox, response)


def _log(sandbox: Sandbox, call: Call | None, status: int) -> None:
    sandbox.requests.append(
        {
            "id": call.id if call else None,
            "method": request.method,
            "path": request.path,
            "params": _without_secrets(call.form) if call else {},
            "status": status,
            "idempotency_key": request.headers.get("Idempotency-Key"),
            "key": _key_kind(call),
            "at": sandbox.clock.now(),
        }
    )


def _key_kind(call: Call | None) -> str | None:
    key = api_key(call.headers, call.form) if call else None
    return None if key is None else "publishable" if key.startswith("pk_") else "secret"


def _without_secrets(params: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(json.dumps(params))
    for name in SECRET_PARAMS:
        shown.pop(name, None)
    return {name: _without_secrets(value) if isinstance(value, dict) else value for name, value in shown.items()}
