"""A customer on the portal's pages: which session, which customer, what they may do."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, abort, redirect, render_template, request

from sandbox.errors import StripeError
from sandbox.portal import showing
from sandbox.resources import account, portal_sessions
from sandbox.resources.portal_configurations import KIND as CONFIGURATION
from sandbox.server import page_transaction
from sandbox.store import Document
from sandbox.world import World

portal = Blueprint(
    "portal", __name__, url_prefix="/p", template_folder="templates", static_folder="static", static_url_path="/static"
)
portal.add_app_template_filter(showing.day, "portal_day")
portal.add_app_template_filter(showing.money_of, "portal_money")
portal.add_app_template_filter(showing.host_of, "portal_host")

# Forms may end in a redirect to the shop, wherever it is.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-src 'self'; base-uri 'none'; form-action 'self' http: https:; frame-ancestors 'none'"
)


@dataclasses.dataclass
class Visit:
    """A customer on a page of the portal."""

    world: World
    session: Document
    customer: Document
    features: dict[str, Any]
    base: str  # where the portal's first page is
    problem: str | None = None  # why the form that was sent is shown again

    @property
    def looking(self) -> bool:
        """A page is asked for, not a change."""
        return request.method == "GET" or self.problem is not None

    def need(self, feature: str) -> dict[str, Any]:
        """What the configuration says of a feature; a page of one that is off does not exist."""
        if not self.features[feature]["enabled"]:
            abort(404)
        found: dict[str, Any] = self.features[feature]
        return found

    def own(self, kind: str, id: str) -> Document:
        """The customer's object of that id; anybody else's does not exist."""
        found = self.world.find(id, kind)
        if found is None or found.get("deleted") or found["customer"] != self.customer["id"]:
            abort(404)
        return found

    def page(self, name: str, **values: Any) -> str:
        configuration = self.world.get(CONFIGURATION, self.session["configuration"])
        return render_template(
            f"portal/{name}.html",
            account_name=account.NAME,
            back=self.session["return_url"],
            base=self.base,
            customer=self.customer,
            features=self.features,
            in_flow=self.session["flow"] is not None,
            problem=self.problem,
            profile=configuration["business_profile"],
            **values,
        )

    def completed(self, what: str) -> Any:
        """To where a completed flow leads, or to the first page, which says what was done."""
        flow: dict[str, Any] | None = self.session["flow"]
        after: dict[str, Any] = flow["after_completion"] if flow else {"type": "portal_homepage"}
        if after["type"] == "redirect":
            return redirect(after["redirect"]["return_url"], 303)
        if after["type"] == "hosted_confirmation":
            text = after["hosted_confirmation"]["custom_message"]
            return self.page("done", title=showing.DONE[what], text=text)
        return redirect(f"{self.base}?done={what}", 303)


def visited(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a view the Visit of the link in its path, in one transaction; what can't be done changes nothing."""

    @functools.wraps(function)
    def view(token: str, **ids: str) -> Any:
        try:
            return _answer(token, function, ids)
        except StripeError as error:
            return _refused(token, function, ids, error), 402 if error.status == 402 else 400

    return view


def _answer(token: str, function: Callable[..., Any], ids: dict[str, str], problem: str | None = None) -> Any:
    with page_transaction() as world:
        session = portal_sessions.opened(world, token)
        customer = world.find(session["customer"], "customer") if session else None
        if session is None or customer is None or customer.get("deleted"):
            text = "Go back to where you came from and open the page anew."
            return render_template("portal/gone.html", title="This link has expired", text=text), 404
        features = world.get(CONFIGURATION, session["configuration"])["features"]
        visit = Visit(world, session, customer, features, f"/p/session/{token}", problem)
        try:
            return function(visit, **ids)
        except StripeError as error:
            if not error.keeps_changes:
                raise
            return visit.page("done", title="That did not work", text=error.message), 402


def _refused(token: str, function: Callable[..., Any], ids: dict[str, str], error: StripeError) -> Any:
    """The form once more, with what is wrong; a plain page where there is no form."""
    methods = request.url_rule.methods if request.url_rule else None
    if request.method == "POST" and methods and "GET" in methods:
        return _answer(token, function, ids, error.message)
    return render_template("portal/gone.html", title="That did not work", text=error.message)


@portal.after_request
def protect(response: Response) -> Response:
    if request.endpoint != "portal.static":
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        response.headers["Cache-Control"] = "no-store"
    # The link is a secret from other sites; without a referrer at all, a form of ours would come from nowhere.
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
