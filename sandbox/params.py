"""Form parameters as Python values, checked against stripe-python's types."""

import re
import typing
from decimal import Decimal
from typing import Any, Literal
from urllib.parse import urlsplit

from typing_extensions import is_typeddict

from contract.stripe_types import Check, Violation, fields, members
from sandbox import errors
from sandbox.errors import StripeError

ADDRESSES = {"default_return_url", "privacy_policy_url", "return_url", "terms_of_service_url", "url"}
MAX_KEYS, MAX_NAME, MAX_VALUE = 50, 40, 500
UNSET = ""
LONGEST_INTEGER = 18  # digits; more would not fit into 64 bits
DECIMAL_PLACES = 12  # https://docs.stripe.com/api/prices/create (unit_amount_decimal)
LARGEST_DECIMAL = 40  # digits before the point; what is too much to charge is for others to say


def decode(given: dict[str, Any], kind: Any, built: frozenset[str], endpoint: str) -> dict[str, Any]:
    """The parameters with their types: int, bool, Decimal, lists; an empty value (unset this) is None.

    Raises Stripe's error for what Stripe does not know or take, and an honest one for what the sandbox lacks.
    """
    found = Check(form=True).value(given, kind, "")
    if found:
        raise _as_error(typing.cast(list[Violation], found), given)
    for path in _paths(given):
        if not any(path == name or path.startswith(name + ".") for name in built):
            raise errors.not_built(f"the parameter `{path}` of {endpoint}")
    _check_contents(given, "")
    return typing.cast(dict[str, Any], _typed(given, kind, ""))


def merge_metadata(old: dict[str, str], given: dict[str, str] | None) -> dict[str, str]:
    """What metadata becomes: names are added, an empty value removes one, unsetting the whole clears it."""
    if given is None:
        return {}
    merged = {**old, **given}
    merged = {name: value for name, value in merged.items() if value != UNSET}
    if len(merged) > MAX_KEYS:
        raise StripeError(
            f"Metadata can have up to {MAX_KEYS} keys, but this would have {len(merged)}.", param="metadata"
        )
    return merged


def _check_contents(given: dict[str, Any], where: str) -> None:
    """Raises Stripe's error for metadata, at any depth, that is too long, and for wrong addresses."""
    for name, inner in given.items():
        param = f"{where}[{name}]" if where else name
        if isinstance(inner, dict):
            (_check_lengths if name == "metadata" else _check_contents)(inner, param)
        elif name in ADDRESSES and inner != UNSET and not _is_address(inner):
            raise StripeError("Not a valid URL", code="url_invalid", param=param)


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def _check_lengths(metadata: dict[str, Any], where: str) -> None:
    for name, value in metadata.items():
        if len(name) > MAX_NAME:
            text = f"Metadata keys can be up to {MAX_NAME} characters, but you passed in a key that is {len(name)}."
            raise StripeError(text, param=where)
        if len(value) > MAX_VALUE:
            text = (
                f"Metadata values can have up to {MAX_VALUE} characters, but you passed in a value that is "
                f"{len(value)} characters. Invalid value: {value[:20]}..."
            )
            raise StripeError(text, param=f"{where}[{name}]")


def _as_error(found: list[Violation], given: dict[str, Any]) -> StripeError:
    unknown = [violation.param for violation in found if violation.code == "parameter_unknown"]
    if unknown:
        noun = "parameter" if len(unknown) == 1 else "parameters"
        return StripeError(f"Received unknown {noun}: {', '.join(unknown)}", code="parameter_unknown", param=unknown[0])
    first = found[0]
    if first.code == "parameter_missing":
        return errors.missing(first.param)
    value = _value_at(given, first.param)
    if first.code == "parameter_invalid_empty":
        name = re.split(r"[\[\]]+", first.param.rstrip("]"))[-1]
        text = (
            f"You passed an empty string for '{first.param}'. We assume empty values are an attempt to unset a "
            f"parameter; however '{name}' cannot be unset. You should remove '{first.param}' from your request or "
            "supply a non-empty value."
        )
        return StripeError(text, code="parameter_invalid_empty", param=first.param)
    if first.code == "parameter_invalid_integer":
        return StripeError(f"Invalid integer: {value}", code="parameter_invalid_integer", param=first.param)
    return StripeError(_invalid(first, value), param=first.param)


def _invalid(violation: Violation, value: Any) -> str:
    choices = re.findall(r"'([^']*)'", violation.partition(" is not one of ")[2])
    if choices and not isinstance(value, dict):
        *head, last = choices
        listed = f"{', '.join(head)}, or {last}" if len(head) > 1 else " or ".join(choices)
        return f"Invalid {violation.param}: must be {'one of ' if len(choices) > 1 else ''}{listed}"
    if "expected bool" in violation:
        return f"Invalid boolean: {value}"
    if "expected a list" in violation:
        return "Invalid array"
    if isinstance(value, dict):
        return f"Invalid string: {value}"
    if "expected" in violation and ("Params" in violation or "a mapping" in violation):
        return "Invalid object"
    return f"Invalid {violation.param}: {value}"


def _value_at(given: Any, param: str) -> Any:
    for name in filter(None, re.split(r"[\[\]]+", param)):
        given = given.get(name, "") if isinstance(given, dict) else ""
    return given


def _paths(value: dict[str, Any], prefix: str = "") -> list[str]:
    """The dotted names of what was given, without list indices and not below lists of scalars."""
    found: list[str] = []
    for name, inner in value.items():
        path = prefix.rstrip(".") if name.isdigit() else prefix + name
        if isinstance(inner, dict):
            found += _paths(inner, path + ".")
        else:
            found.append(path)
    return found


def _typed(value: Any, annotation: Any, where: str) -> Any:
    """The value as the first of the annotation's kinds that takes it; the check has said that one does."""
    kinds = members(annotation)
    if value == UNSET:
        return None
    listed = [v for k in kinds if typing.get_origin(k) is Literal for v in typing.get_args(k)]
    if value in listed:
        return value
    for kind in kinds:
        origin = typing.get_origin(kind) or kind
        if origin is Literal or origin is type(None) or not _takes(value, kind):
            continue
        return _converted(value, kind, origin, where)
    return value


def _takes(value: Any, kind: Any) -> bool:
    return not Check(form=True).value(value, kind, "")


def _integer(text: str, param: str) -> int:
    if len(text) > LONGEST_INTEGER:
        raise StripeError(f"Invalid integer: {text[:60]}", code="parameter_invalid_integer", param=param)
    return int(text)


def _decimal(text: str, param: str, places: int) -> Decimal:
    value = Decimal(text)
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -places or value.adjusted() > LARGEST_DECIMAL:
        raise StripeError(f"Invalid decimal: {text[:60]}", param=param)
    return value


def _converted(value: Any, kind: Any, origin: Any, where: str) -> Any:
    if origin is list:
        inner = typing.get_args(kind)[0]
        return [_typed(value[name], inner, f"{where}[{name}]") for name in sorted(value, key=int)]
    if origin is dict:
        inner = typing.get_args(kind)[-1]
        return {
            name: UNSET if item == UNSET else _typed(item, inner, f"{where}[{name}]") for name, item in value.items()
        }
    if is_typeddict(origin):
        known = fields(origin)
        return {
            name: _typed(item, known[name].annotation, f"{where}[{name}]" if where else name)
            for name, item in value.items()
        }
    if origin is bool:
        return value == "true"
    if origin is int:
        return _integer(value, where)
    if origin in (float, Decimal):
        return _decimal(value, where, DECIMAL_PLACES if origin is Decimal else LARGEST_DECIMAL)
    return value
