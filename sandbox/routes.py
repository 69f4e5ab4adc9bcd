"""The API's endpoints: which function answers, with which parameters."""

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule


@dataclasses.dataclass(frozen=True)
class Route:
    method: str
    path: str
    params: Any  # stripe-python's TypedDict: all that Stripe knows
    built: frozenset[str]  # of that, what the sandbox does: "name", "items.price"
    function: Callable[..., Any]
    publishable: bool  # a browser may call it
    emptied: frozenset[str]  # what an empty value unsets, though the SDK's types do not say so


_routes: list[Route] = []


def route(
    rule: str, params: Any, built: str = "", *, publishable: bool = False, emptied: str = ""
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let a function answer `METHOD /v1/path/<id>`: it gets the world, the decoded parameters and the path's ids.

    params: stripe-python's class for the request, so that whatever Stripe knows is known.
    built: the parameters of it that the sandbox acts on; a name stands for all below it.
    publishable: a publishable key will do.
    emptied: parameters that an empty value unsets, though the SDK's types do not say so.
    """
    method, path = rule.split()

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        names = frozenset(["expand", *built.split()])
        _routes.append(Route(method, path, params, names, function, publishable, frozenset(emptied.split())))
        return function

    return register


class Router:
    """Finds a request's route."""

    def __init__(self) -> None:
        import sandbox.resources

        for module in pkgutil.iter_modules(sandbox.resources.__path__):
            importlib.import_module(f"sandbox.resources.{module.name}")
        rules = [Rule(r.path, methods=[r.method], endpoint=i) for i, r in enumerate(_routes)]
        self.map = Map(rules, strict_slashes=False, merge_slashes=False).bind("sandbox")

    def match(self, method: str, path: str) -> tuple[Route, dict[str, Any]] | None:
        try:
            index, ids = self.map.match(path, method)
        except HTTPException:
            return None
        found = _routes[int(index)]
        return (found, dict(ids)) if found.method == method else None
