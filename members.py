"""Two example pages behind the gate. Premium opens both."""

from __future__ import annotations

from flask import Blueprint, render_template

from access import requires_product

members = Blueprint("members", __name__, url_prefix="/members")


@members.get("/basic")
@requires_product("basic")
def basic() -> str:
    """What every plan opens."""
    return render_template("members/basic.html")


@members.get("/premium")
@requires_product("premium")
def premium() -> str:
    """What only Premium opens."""
    return render_template("members/premium.html")
