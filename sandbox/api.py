"""One request to the API: who asks, what for, carried out once, answered as Stripe answers."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
import threading
import time
import traceback
from typing import Any
from urllib.parse import unquote_plus

from contract.stripe_requests import STRIPE_JS_PARAMS, find_route
from sandbox import API_VERSION, errors, wire
from sandbox.errors import StripeError
from sandbox.ids import random_text
from sandbox.lists import Page
from sandbox.params import UNSET, decode
from sandbox.routes import Route, Router
from sandbox.world import Caller, World

SECRET_KEY, PUBLISHABLE_KEY = "sk_test_sandbox", "pk_test_sandbox"
REMEMBERED_FOR = 24 * 3600  # seconds of wall time
NO_KEY = (
    "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth "
    "(e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See https://stripe.com/docs/api#authentication for details, or we "
    "can help at https://support.stripe.com/."
)
SERVERS_ONLY = (
    "This API call cannot be made with a publishable API key. Please use a secret API key. You can find a list of your "
    "API keys at https://dashboard.stripe.com/account/apikeys."
)
UNKNOWN_URL = (
    "Unrecognized request URL ({}: {}). Please see https://stripe.com/docs or we can help at "
    "https://support.stripe.com/."
)
ONE_USE = (
    "Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a key "
    "other than '{}' if you meant to execute a different request."
)
NO_ACCESS = (
    "The provided key '{}***' does not have access to account '{}' (or that account does not exist). Application "
    "access may have been revoked."
)
IN_USE = (
    "There is currently another in-progress request using this Idempotent Key (that probably means you submitted "
    "twice, and the other request is still going through): {}. Please try again later."
)


@dataclasses.dataclass
class Call:
    """A request as it came."""

    method: str
    path: str
    form: dict[str, Any]
    headers: Any
    origin: str = ""  # the sandbox's address as the caller knows it
    id: str = dataclasses.field(default_factory=lambda: "req_" + random_text(14))

    @property
    def key(self) -> str | None:
        return self.headers.get("Idempotency-Key") or None if self.method == "POST" else None


@dataclasses.dataclass
class Answer:
    status: int
    body: dict[str, Any]
    file: bytes | None = None  # a PDF, in place of the body
    original_request: str | None = None
    replayed: bool = False


def api_key(headers: Any, form: dict[str, Any]) -> str | None:
    """The key of a Bearer or Basic header, or the one that Stripe.js sends among the parameters."""
    kind, _, value = headers.get("Authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            return base64.b64decode(value).decode().partition(":")[0]
        except ValueError:
            return ""
    if kind.lower() == "bearer":
        return value.strip()
    given = form.get("key")
    return unquote_plus(given) if isinstance(given, str) else None


def is_publishable(key: str | None) -> bool:
    """Whether the key is the browser's. Raises 401 for any key but the sandbox's two."""
    if key in (SECRET_KEY, PUBLISHABLE_KEY):
        return key == PUBLISHABLE_KEY
    if not key:
        raise StripeError(NO_KEY, status=401)
    if key.startswith(("sk_live_", "pk_live_", "rk_live_")):
        raise StripeError(
            f"This is a local sandbox and takes no live keys. Use {SECRET_KEY} and {PUBLISHABLE_KEY}.", status=401
        )
    shown = key if len(key) < 12 else key[:8] + "*" * (len(key) - 12) + key[-4:]
    raise StripeError(f"Invalid API Key provided: {shown}", status=401)


def check_version(version: str | None) -> None:
    if version in (None, "", API_VERSION):
        return
    if re.fullmatch(r"\d{4}-\d\d-\d\d(\.\w+)?", version or ""):
        raise errors.not_built(f"API version {version}; the sandbox speaks {API_VERSION}")
    raise StripeError(f"Invalid Stripe API version: {version}")


class Api:
    """Carries out requests one after the other."""

    def __init__(self, open_world: Any) -> None:
        self.router = Router()
        self.open_world = open_world  # (caller) -> context manager of a World
        self.in_flight: set[str] = set()
        self.in_flight_lock = threading.Lock()

    def answer(self, call: Call) -> Answer:
        """Carry out a request that carries a good key. Never raises: what goes wrong is an answer too."""
        try:
            check_version(call.headers.get("Stripe-Version"))
            publishable = is_publishable(api_key(call.headers, call.form))
            self._check_account(call)
            route, ids = self._route(call)
            if publishable and not route.publishable:
                raise StripeError(SERVERS_ONLY, status=401, code="secret_key_required")
            secret = call.form.get("client_secret")
            caller = Caller(call.id, call.key, publishable, secret if isinstance(secret, str) else None, call.origin)
            given = {k: v for k, v in call.form.items() if not (publishable and k in STRIPE_JS_PARAMS)}
            described = given.pop("payment_method_data", None) if publishable else None
            unset = {name: None for name in route.emptied if given.get(name) == UNSET}
            given = {name: value for name, value in given.items() if name not in unset}
            params = decode(given, route.params, route.built, f"{call.method} {route.path}") | unset
            if isinstance(described, dict):
                params["payment_method_data"] = self._described_method(described)
            return self._once(call, lambda world: route.function(world, params, **ids), params, caller)
        except StripeError as error:
            return Answer(error.status, error.body())
        except Exception:
            traceback.print_exc()
            text = "The sandbox itself failed: see its output for the stack trace."
            return Answer(500, StripeError(text, status=500, type="api_error").body())

    def _route(self, call: Call) -> tuple[Route, dict[str, Any]]:
        method = "GET" if call.method == "HEAD" else call.method
        found = self.router.match(method, call.path)
        if found is not None:
            return found
        if find_route(method, call.path):
            raise errors.not_built(f"{call.method} {call.path}")
        raise StripeError(UNKNOWN_URL.format(call.method, call.path), status=404)

    def _check_account(self, call: Call) -> None:
        """Platforms name one of their accounts; the sandbox has no account but its own."""
        asked = call.headers.get("Stripe-Account") or call.headers.get("Stripe-Context")
        if not asked:
            return
        with self.open_world(Caller()) as world:
            if asked != world.account:
                key = api_key(call.headers, call.form) or ""
                raise StripeError(NO_ACCESS.format(key[:8], asked), status=403, code="account_invalid")

    def _described_method(self, given: dict[str, Any]) -> dict[str, Any]:
        """The card fields that Stripe.js alone may send with a confirmation: those of POST /v1/payment_methods."""
        found = self.router.match("POST", "/v1/payment_methods")
        assert found is not None
        given = {name: value for name, value in given.items() if name not in STRIPE_JS_PARAMS}
        return decode(given, found[0].params, found[0].built, "payment_method_data")

    def _once(self, call: Call, run: Any, params: dict[str, Any], caller: Caller) -> Answer:
        """Carry it out, or repeat the answer that its idempotency key already had."""
        if call.key is None:
            return self._execute(call, run, params, caller)
        if len(call.key) > 255:
            raise StripeError("Idempotency keys can be at most 255 characters long.")
        with self.in_flight_lock:
            if call.key in self.in_flight:
                raise StripeError(
                    IN_USE.format(call.key), status=409, type="idempotency_error", code="idempotency_key_in_use"
                )
            self.in_flight.add(call.key)
        try:
            return self._execute(call, run, params, caller)
        finally:
            with self.in_flight_lock:
                self.in_flight.discard(call.key)

    def _execute(self, call: Call, run: Any, params: dict[str, Any], caller: Caller) -> Answer:
        try:
            with self.open_world(caller) as world:
                known = self._remembered(world, call)
                if known:
                    return known
                try:
                    result = run(world)
                    if isinstance(result, bytes):
                        return Answer(200, {}, result)
                    answer = Answer(200, finished(world, result, params.get("expand") or [], call.path))
                except StripeError as error:
                    if not error.keeps_changes:
                        raise
                    answer = Answer(error.status, published(error.body(), caller))
                self._remember(world, call, answer)
                return answer
        except Mismatch:
            raise
        except StripeError as error:  # the transaction was rolled back
            answer = Answer(error.status, published(error.body(), caller))
            with self.open_world(caller) as world:
                self._remember(world, call, answer)
            return answer

    def _remembered(self, world: World, call: Call) -> Answer | None:
        if call.key is None:
            return None
        oldest = int(time.time()) - REMEMBERED_FOR
        world.store.db.execute("DELETE FROM idempotency WHERE at <= ?", (oldest,))
        query = "SELECT * FROM idempotency WHERE key = ?"
        row = world.store.db.execute(query, (call.key,)).fetchone()
        if row is None:
            return None
        if (row["method"], row["path"], row["fingerprint"]) != (call.method, call.path, _fingerprint(call)):
            raise Mismatch(ONE_USE.format(call.key), type="idempotency_error")
        return Answer(row["status"], json.loads(row["body"]), None, row["request"], replayed=True)

    def _remember(self, world: World, call: Call, answer: Answer) -> None:
        if call.key is not None:
            world.store.db.execute(
                "INSERT OR REPLACE INTO idempotency VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    call.key,
                    int(time.time()),
                    call.method,
                    call.path,
                    _fingerprint(call),
                    call.id,
                    answer.status,
                    json.dumps(answer.body),
                ),
            )


class Mismatch(StripeError):
    """An idempotency key that was first used for something else; the first answer stays remembered."""


def finished(world: World, result: Any, expand: list[str], path: str) -> dict[str, Any]:
    """The wire form of what a route's function returned, expanded as asked."""
    if isinstance(result, Page):
        body = result.wire(world, path)
    elif hasattr(result, "get") and type(result) is not dict:
        body = world.wire(result)
    else:
        body = result
    wire.expand(world, body, expand)
    return published(body, world.caller)


def published(body: dict[str, Any], caller: Caller) -> dict[str, Any]:
    """What a browser may see of it: of intents, only the fields that Stripe.js documents."""
    if not caller.publishable:
        return body
    if "error" in body:
        error = {name: _visible(value) for name, value in body["error"].items()}
        return {"error": error}
    return {name: _visible(value) for name, value in _visible(body).items()}


VISIBLE = {
    "payment_intent": "id object amount automatic_payment_methods canceled_at cancellation_reason capture_method "
    "client_secret confirmation_method created currency description last_payment_error livemode next_action "
    "payment_method payment_method_types processing receipt_email setup_future_usage shipping status",
    "setup_intent": "id object automatic_payment_methods cancellation_reason client_secret created description "
    "last_setup_error livemode next_action payment_method payment_method_types status usage",
}


def _visible(value: Any) -> Any:
    if not isinstance(value, dict) or value.get("object") not in VISIBLE:
        return value
    names = VISIBLE[value["object"]].split()
    return {name: value[name] for name in names if name in value}


def _fingerprint(call: Call) -> str:
    return hashlib.sha256(json.dumps(call.form, sort_keys=True).encode()).hexdigest()
