"""Checks requests, and the responses to them, against stripe-python's services and params types.

    request_violations("POST", "/v1/subscriptions", decode_form(body))
    response_violations("GET", "/v1/subscriptions/sub_1", body)

The routes are not listed here: every method of the SDK's v1 services is called once with a recorder
in place of its network, which yields its method and path; its annotations give the rest.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import re
import sys
from typing import Any, Collection, Dict, Iterator, List, NamedTuple, Optional, Tuple, Union
from urllib.parse import parse_qsl

import stripe
from typing_extensions import is_typeddict

from .stripe_types import Check, Violation, expandable, members, resolve, violations

# What Stripe.js adds to the calls that it makes with a publishable key; the server SDKs never send
# these, so no params type lists them.
STRIPE_JS_PARAMS = frozenset(
    "client_attribution_metadata client_secret elements_session_client expected_payment_method_type guid key muid "
    "payment_user_agent radar_options referrer sid time_on_page _stripe_account _stripe_version".split()
)


class Route(NamedTuple):
    method: str
    template: str  # "/v1/subscriptions/{}"
    params: Any  # a params TypedDict, or None
    returns: Any  # a StripeObject class, ListObject[...] or the like
    source: str  # "SubscriptionService.create"


def request_violations(
    method: str, path: str, params: Dict[str, Any], *, allow: Collection[str] = (), open_enums: bool = False
) -> List[str]:
    """What is wrong with a request's parameters, as decode_form gives them.

    allow: names at the top level to pass over, such as STRIPE_JS_PARAMS for a browser's call.
    """
    route = find_route(method, path)
    if route is None:
        return [_no_route(method, path)]
    params = {name: value for name, value in params.items() if name not in allow}
    if route.params is None:
        return [Violation(name, "unknown parameter", "parameter_unknown") for name in params]
    found = Check(form=True, open_enums=open_enums).value(params, route.params, "")
    expands = params.get("expand")
    for index, path in expands.items() if isinstance(expands, dict) else ():
        if isinstance(path, str) and not expandable(route.returns, path):
            found.append(Violation(f"expand[{index}]", f"{path!r} cannot be expanded"))
    return found


def response_violations(
    method: str, path: str, body: Any, *, partial: bool = False, open_enums: bool = False
) -> List[str]:
    """What is wrong with a decoded response to a request (an error fits any route).

    partial: fields may be missing, as in what Stripe answers to a publishable key.
    """
    route = find_route(method, path)
    if route is None:
        return [_no_route(method, path)]
    if isinstance(body, dict) and set(body) == {"error"}:
        return violations(body, partial=partial, open_enums=open_enums)
    return Check(partial=partial, open_enums=open_enums).value(body, route.returns, "")


def decode_form(body: Union[str, bytes]) -> Dict[str, Any]:
    """A form body or query string with its brackets decoded; a list stays {"0": ...} until it is typed."""
    root: Dict[str, Any] = {}
    for key, value in parse_qsl(body.decode() if isinstance(body, bytes) else body, keep_blank_values=True):
        *parents, last = [part.rstrip("]") for part in key.split("[")]
        node = root
        for name in parents:
            name = name or str(len(node))
            if not isinstance(node.get(name), dict):
                node[name] = {}
            node = node[name]
        node[last or str(len(node))] = value
    return root


def find_route(method: str, path: str) -> Optional[Route]:
    """The route of a concrete path; one with fewer placeholders wins."""
    path = path.split("?", 1)[0].rstrip("/")
    fitting = [route for route, pattern in _patterns() if route.method == method.upper() and pattern.fullmatch(path)]
    return min(fitting, key=lambda route: route.template.count("{}"), default=None)


@functools.lru_cache(maxsize=None)
def routes() -> Tuple[Route, ...]:
    """Every route of the SDK's v1 services."""
    found: Dict[Tuple[str, str], Route] = {}
    for service in _services("stripe._v1_services", "V1Services"):
        for name, function in inspect.getmembers(service, inspect.isfunction):
            if name.startswith("_") or name.endswith("_async") or function.__module__ != service.__module__:
                continue
            calls: List[Tuple[str, str]] = []
            recorder = service(None)
            recorder._request = recorder._request_stream = lambda method, url, calls=calls, **_: calls.append(
                (method, url)
            )
            signature = inspect.signature(function).parameters.values()
            ids = [p for p in signature if p.kind is p.POSITIONAL_ONLY][1:]  # self is the first
            function(recorder, *("ID" for _ in ids), params=None)
            params = members(resolve(function.__annotations__["params"], service.__module__))
            returns = resolve(function.__annotations__["return"], service.__module__)
            for method, url in calls:
                template = re.sub(r"(?<=/)ID(?=/|$)", "{}", url)
                typed = next(filter(is_typeddict, params), None)
                found[method, template] = Route(method.upper(), template, typed, returns, f"{service.__name__}.{name}")
    return tuple(found.values())


def _services(module: str, name: str) -> Iterator[type]:
    yield getattr(importlib.import_module(module), name)
    for child in getattr(sys.modules[module], "_subservices", {}).values():
        yield from _services(*child)


@functools.lru_cache(maxsize=None)
def _patterns() -> List[Tuple[Route, "re.Pattern[str]"]]:
    return [(route, re.compile(re.escape(route.template).replace(r"\{\}", "[^/]+"))) for route in routes()]


def _no_route(method: str, path: str) -> str:
    return Violation("", f"{method} {path}: stripe {stripe.VERSION} has no such route", "resource_missing")
