"""Requests to routes that are known, as chance has it: most of each fits, so that the rest gets past the door."""

from __future__ import annotations

import re
import typing
from collections.abc import Mapping
from decimal import Decimal
from random import Random
from typing import Any
from urllib.parse import quote, urlencode

from typing_extensions import is_typeddict

from contract.stripe_requests import Route, routes
from contract.stripe_types import fields, members
from sandbox.routes import Router

ROUTER = Router()
BUILT = [route for route in routes() if ROUTER.match(route.method, route.template.replace("{}", "x"))]
ODD = ["", "0", "-1", "true", "[]", "{}", "null", "'", "%", "é", "\x00", "9" * 40, "1e999", "NaN"]
NAMES = ["metadata", "expand", "customer", "items", "limit", "starting_after", "created", "currency"]
LONG = [one * times for one in "9xé " for times in (41, 501, 5001)]
EDGES = [-1, 0, 101, 2**31, 10**11, 10**18 - 1, 2**63, 10**20, 10**39]  # 10**11: a date that no calendar has
FRACTIONS = ["0.5", "0.0000000000001", "1e-9999", "1e9999", "1e99999"]
USUAL = {"currency": "usd", "query": "metadata['k']:'v'", "url": "http://localhost:9/"}

Pairs = list[tuple[str, str]]


class Wish:
    """What one seed brings: a method, a path and a form."""

    def __init__(self, seed: int, known: Mapping[str, str], now: int) -> None:
        """known: an id by each name that it goes by; now: the world's time."""
        self.chance, self.known, self.now = Random(seed), known, now
        route = self.chance.choice(BUILT)
        self.method, self.path = route.method, route.template
        while "{}" in self.path:
            before = self.path.partition("/{}")[0]
            self.path = self.path.replace("{}", quote(self._id(before), safe=""), 1)
        self.form = urlencode(self._params(route), errors="replace")

    def _seldom(self) -> bool:
        return self.chance.random() < 0.05

    def _params(self, route: Route) -> Pairs:
        found = ROUTER.match(route.method, route.template.replace("{}", "x"))
        assert found
        self.built: frozenset[str] = found[0].built
        params = self._inside(route.params, "", odd=True) if route.params else []
        if self._seldom():
            params.append((self._some([*NAMES, self._text()]), self._some([*ODD, self._text()])))
        return params

    def _is_built(self, name: str) -> bool:
        path = re.sub(r"\.\d+", "", name.replace("[", ".").replace("]", "")) + "."
        return any(path.startswith(f"{built}.") or built.startswith(path) for built in self.built)

    def _inside(self, kind: Any, where: str, *, odd: bool) -> Pairs:
        """What must be there and some of the rest. odd: with one value that goes to the edge of what fits."""
        known = {f"{where}[{name}]" if where else name: field for name, field in fields(kind).items()}
        at_hand = [name for name in known if name != "expand" and (self._is_built(name) or self._seldom())]
        star = self._some(at_hand) if at_hand and odd else None
        pairs: Pairs = []
        for name in at_hand:
            likely = 0.95 if known[name].required else 0.15
            if name == star or self.chance.random() < likely:
                pairs += self._value(known[name].annotation, name, odd=name == star)
        return pairs

    def _value(self, annotation: Any, name: str, *, odd: bool) -> Pairs:
        """The form fields of a value that fits the annotation, more or less."""
        if self._seldom():
            return [(name, self._some([*ODD, self._text()]))]
        kind = self._some(members(annotation))
        origin = typing.get_origin(kind) or kind
        if origin is list:
            inner, size = typing.get_args(kind)[0], self._some([1, 1, 2])
            return [pair for i in range(size) for pair in self._value(inner, f"{name}[{i}]", odd=odd and i == 0)]
        if is_typeddict(origin):
            return self._inside(origin, name, odd=odd)
        if origin is dict:
            return [(f"{name}[k]", self._some([self._text(), *LONG]))]
        return [(name, self._plain(kind, origin, name, odd=odd))]

    def _plain(self, kind: Any, origin: Any, name: str, *, odd: bool) -> str:
        if origin is typing.Literal:
            return str(self._some(typing.get_args(kind)))
        if origin is bool:
            return str(self._some(["true", "false"]))
        if origin in (int, float, Decimal):
            edges = EDGES if origin is int else [*EDGES, *FRACTIONS]
            return str(self._some(edges if odd else [self.chance.randint(1, 20), self.now + 90_000]))
        last = re.sub(r"\[\d+\]", "", name).rstrip("]").rpartition("[")[2]
        if odd and self.chance.random() < 0.5:
            return str(self._some([self._text(), *LONG, *ODD]))
        return USUAL.get(last) or self._id(last)

    def _id(self, name: str) -> str:
        """The id that is meant by such a name; seldom, or if there is none, anything."""
        kinds = [kind for kind in self.known if name.endswith((kind, f"{kind}s"))]
        if kinds and not self._seldom():
            return self.known[max(kinds, key=len)]
        return self._some([*self.known.values(), "pm_card_visa", "cus_none", self._text() or "x", self._some(LONG)])

    def _text(self) -> str:
        """Up to 20 characters from all of Unicode, the plain ones first."""
        chars = (
            self.chance.randrange(self._some([128, 128, 0x800, 0xD800])) for _ in range(self.chance.randint(0, 20))
        )
        return "".join(map(chr, chars))

    def _some(self, of: Any) -> Any:
        return self.chance.choice(list(of))
