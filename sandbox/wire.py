"""How answers look: key order, expansion."""

from __future__ import annotations

import functools
import json
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any

from contract.stripe_types import expandable, object_class
from sandbox.errors import StripeError

if TYPE_CHECKING:
    from sandbox.world import World

LIST_ORDER = ("object", "data", "has_more", "total_count", "url")
LISTS = ("list", "search_result")
MAX_DEPTH = 4
NESTED = (dict, list)


def ordered(value: Any) -> Any:
    """Keys as Stripe orders them: id, object, then by the alphabet; lists of objects have an order of their own."""
    if type(value) is list:
        return [ordered(item) if type(item) in NESTED else item for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: ordered(inner) if type(inner := value[name]) in NESTED else inner for name in _names(tuple(value), value)
    }


def _names(keys: tuple[str, ...], value: dict[str, Any]) -> tuple[str, ...]:
    if value.get("object") == "list":
        return tuple(name for name in LIST_ORDER if name in value)
    return _sorted(keys)


@functools.lru_cache(maxsize=1024)
def _sorted(keys: tuple[str, ...]) -> tuple[str, ...]:
    first = tuple(name for name in ("id", "object") if name in keys)
    return (*first, *sorted(set(keys) - {"id", "object"}))


def dump(value: Any) -> str:
    """As json.dumps with an indent of two does, which is written in Python and takes three times as long."""
    return _indented(ordered(value), "\n") + "\n"


def _indented(value: Any, line: str) -> str:
    kind = type(value)
    if value is None:
        return "null"
    if kind is str:
        return encode_basestring(value)
    if kind is int:
        return str(value)
    if kind is bool:
        return "true" if value else "false"
    if not value or kind not in NESTED:
        return json.dumps(value)
    inner = line + "  "
    if kind is dict:
        parts = [f"{encode_basestring(name)}: {_indented(one, inner)}" for name, one in value.items()]
        return "{" + inner + ("," + inner).join(parts) + line + "}"
    return "[" + inner + ("," + inner).join([_indented(one, inner) for one in value]) + line + "]"


def expand(world: World, wire: dict[str, Any], paths: list[str]) -> None:
    """Put objects in the place of their ids, along dotted paths. Raises Stripe's error for one that leads nowhere."""
    for path in paths:
        names = path.split(".")
        if len(names) > MAX_DEPTH + (names[0] == "data"):
            raise StripeError(f"You cannot expand more than {MAX_DEPTH} levels of a property ({path}).", param="expand")
        _expand(world, wire, names, path)


def _expand(world: World, node: Any, names: list[str], path: str) -> None:
    if isinstance(node, list):
        for item in node:
            _expand(world, item, names, path)
        return
    if not names or not isinstance(node, dict) or node.get("deleted"):
        return
    name, *rest = names
    if not _expandable(node, name):
        raise StripeError(f"This property cannot be expanded ({path}).", param="expand")
    if name not in node:
        known, value = world.include(str(node.get("object")), name, str(node.get("id")))
        if not known:
            raise StripeError(f"This property cannot be expanded ({path}).", param="expand")
        node[name] = value
    elif isinstance(node[name], str):
        found = world.find(node[name])
        if found is None:
            raise StripeError(f"This property cannot be expanded ({path}).", param="expand")
        node[name] = world.wire(found)
    elif isinstance(node[name], list):
        node[name] = [_object_of(world, item) for item in node[name]]
    _expand(world, node[name], rest, path)


def _expandable(node: dict[str, Any], name: str) -> bool:
    kind = node.get("object")
    return not isinstance(kind, str) or kind in LISTS or _field_expandable(kind, name)


@functools.lru_cache(maxsize=1000)
def _field_expandable(kind: str, name: str) -> bool:
    """Whether a field is, or can be made, an object; True for objects of which the SDK does not know."""
    found = object_class(kind)
    return found is None or expandable(found, name)


def _object_of(world: World, item: Any) -> Any:
    found = world.find(item) if isinstance(item, str) else None
    return world.wire(found) if found else item
