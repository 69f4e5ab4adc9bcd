"""Lists, a page at a time."""

from __future__ import annotations

import dataclasses
from typing import Any

from sandbox.errors import StripeError, no_such, too_small
from sandbox.store import COLUMNS, Document
from sandbox.world import World

COMPARISONS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


@dataclasses.dataclass
class Page:
    """What a list endpoint answers with."""

    documents: list[Document]
    has_more: bool
    url: str = ""

    def wire(self, world: World, url: str) -> dict[str, Any]:
        data = [world.wire(document) for document in self.documents]
        return {"object": "list", "data": data, "has_more": self.has_more, "url": self.url or url}


def limit(params: dict[str, Any]) -> int:
    asked = params.get("limit", 10)
    if asked < 1:
        raise too_small(1, "limit")
    if asked > 100:
        text = "This value must be less than or equal to 100."
        raise StripeError(text, code="parameter_invalid_integer", param="limit")
    return int(asked)


def page(world: World, kind: str, params: dict[str, Any], *times: str, **equal: Any) -> Page:
    """Objects of a kind, newest first, from where the parameters point; `equal` filters by field (None: no filter).

    times: fields, besides `created`, whose range a parameter of that name gives.
    """
    where, values = created_range(params.get("created"))
    for name in times:
        in_range(params.get(name), name, where, values)
    for name, value in equal.items():
        if value is None:
            continue
        column = _column(name)
        if isinstance(value, list):
            where.append(f"{column} IN ({', '.join('?' for _ in value)})")
            values += value
        else:
            where.append(f"{column} = ?")
            values.append(value)
    return cut(world, kind, params, where, values)


def cut(world: World, kind: str, params: dict[str, Any], where: list[str], values: list[Any]) -> Page:
    """The page of the objects that fulfil the conditions."""
    size, backwards = limit(params), _is_backwards(params)
    for name, comparison in (("starting_after", "<"), ("ending_before", ">")):
        if name in params:
            where.append(f"sequence {comparison} ?")
            values.append(_sequence(world, kind, params[name], name))
    order = "ASC" if backwards else "DESC"
    tail = f"ORDER BY sequence {order} LIMIT {size + 1}"
    found = world.select(kind, " AND ".join(where), tuple(values), tail=tail)
    documents = found[:size]
    return Page(documents[::-1] if backwards else documents, len(found) > size)


def cut_whole(data: list[dict[str, Any]], params: dict[str, Any], url: str, kind: str) -> dict[str, Any]:
    """A page of wire objects that are worked out rather than stored."""
    size, ids, end = limit(params), [one["id"] for one in data], len(data)
    for name in ("starting_after", "ending_before"):
        if name in params and params[name] not in ids:
            raise no_such(kind, params[name], name)
    start = ids.index(params["starting_after"]) + 1 if "starting_after" in params else 0
    if _is_backwards(params):
        end = ids.index(params["ending_before"])
        start = max(end - size, 0)
        return {"object": "list", "data": data[start:end], "has_more": start > 0, "url": url}
    return {"object": "list", "data": data[start : start + size], "has_more": end - start > size, "url": url}


def _is_backwards(params: dict[str, Any]) -> bool:
    if "ending_before" in params and "starting_after" in params:
        text = "You may only specify one of these parameters: starting_after, ending_before."
        raise StripeError(text, param="starting_after")
    return "ending_before" in params


def created_range(created: Any) -> tuple[list[str], list[Any]]:
    """SQL conditions for Stripe's `created`."""
    where: list[str] = []
    values: list[Any] = []
    in_range(created, "created", where, values)
    return where, values


def in_range(given: Any, name: str, where: list[str], values: list[Any]) -> None:
    """Add the SQL conditions for a range of times as Stripe has it: a time, or gt, gte, lt, lte."""
    if given is None:
        return
    bounds = {"": given} if isinstance(given, int) else given
    where += [f"{_column(name)} {COMPARISONS.get(bound, '=')} ?" for bound in bounds]
    values += bounds.values()


def _column(name: str) -> str:
    return name if name in (*COLUMNS, "created") else f"json_extract(document, '$.{name}')"


def embedded(data: list[dict[str, Any]], url: str) -> dict[str, Any]:
    """A list inside an object, which is sent whole and counted."""
    return {"object": "list", "data": data, "has_more": False, "total_count": len(data), "url": url}


def _sequence(world: World, kind: str, id: str, param: str) -> int:
    sequence = world.store.sequence(id, kind)
    if sequence is None:
        raise no_such(kind, id, param)
    return sequence
