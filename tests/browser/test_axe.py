"""Every page, looked at by axe-core: light, dark, and 320 pixels wide."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page, Response, expect

from models import Customer, Invoice
from tests.behind import fall_behind, subscriber
from tests.browser.person import ELEMENT
from tests.sandbox.acts import paying_customer
from tests.sandbox.test_portal import EVERYTHING
from tests.sandbox_process import SandboxProcess
from tests.shop import RunningShop, Visitor
from tests.staff.people import staff_member, user_id

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not AXE.exists(), reason="axe-core is not here: `npm ci` brings it"),
]
RUN = """async (options) => {
    await Promise.all(document.getAnimations().map(({finished}) => finished.catch(() => null)));
    const {violations} = await axe.run(document, {iframes: false, resultTypes: ["violations"], ...options});
    return violations.map(({id, nodes}) =>
        `${id}: ${nodes.map(({target, any}) => `${target} ${any.map(({message}) => message)}`).join("; ")}`);
}"""
FRAMES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]  # headings and landmarks are the page's
BUSY = "[aria-busy=true]:visible"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
WAYS = {
    "light": ("light", {"width": 1100, "height": 900}),
    "dark and narrow": ("dark", {"width": 320, "height": 800}),
}


class Looker:
    """Opens pages and has axe-core look at them, with the frames inside."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.source = AXE.read_text(encoding="utf-8")
        self.found: list[str] = []
        self.seen = 0

    def visit(self, url: str) -> None:
        """Look at a page in both ways, unless it is none (JSON, a file) or leads elsewhere."""
        for way in WAYS:
            if not self.open(url, way):
                return
            self.look(way)

    def open(self, url: str, way: str) -> bool:
        """Go there; says whether it is a page and the one that was asked for."""
        scheme, size = WAYS[way]
        self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        self.page.set_viewport_size(size)  # type: ignore[arg-type]
        answer = self.page.goto(url)
        expect(self.page.locator(BUSY)).to_have_count(0)  # a payment form is looked at when it is there
        return is_page(answer) and urlsplit(self.page.url).path == urlsplit(url).path

    def look(self, way: str) -> None:
        """Look at what is open, and at the frames in it."""
        self.seen += 1
        for frame in self.page.frames:
            if not frame.url.startswith("http") or frame.is_detached():
                continue
            options: dict[str, Any] = {}
            if frame != self.page.main_frame:
                # A frame is transparent, and axe-core takes what is behind it for white.
                options = {"runOnly": FRAMES, "rules": {"color-contrast": {"enabled": way == "light"}}}
            if not frame.evaluate("'axe' in window"):
                frame.evaluate(self.source)
            self.found += [f"{frame.url} {way}: {violation}" for violation in frame.evaluate(RUN, options)]
        too_wide = self.page.evaluate(OVERFLOW)
        if too_wide:
            self.found.append(f"{self.page.url} {way}: {too_wide} pixels too wide")


def is_page(answer: Response | None) -> bool:
    return answer is not None and answer.headers.get("content-type", "").startswith("text/html")


@pytest.fixture
def looker(new_context: Callable[..., BrowserContext]) -> Iterator[Looker]:
    looker = Looker(new_context().new_page())
    yield looker
    assert looker.seen
    assert looker.found == []


def sign_in(looker: Looker, visitor: Visitor) -> None:
    """The browser takes over the session of somebody who is signed in."""
    cookies = [{"name": c.name, "value": c.value or "", "url": visitor.url} for c in visitor.session.cookies]
    looker.page.context.add_cookies(cookies)  # type: ignore[arg-type]


def pages(shop: RunningShop) -> list[str]:
    """All routes that are read and have no variables in them."""
    rules = [rule for rule in shop.app.url_map.iter_rules() if "GET" in (rule.methods or ()) and not rule.arguments]
    return sorted(str(rule) for rule in rules if str(rule) not in ("/account/export", "/logout"))


def test_what_strangers_see(looker: Looker, shop: RunningShop) -> None:
    """All public pages, and one that is not there."""
    for path in [*pages(shop), "/nothing"]:
        looker.visit(shop.url + path)


def test_what_a_customer_without_a_plan_sees(looker: Looker, shop: RunningShop) -> None:
    """With the payment form, and what is told when it was sent empty."""
    sign_in(looker, shop.member())
    for path in pages(shop):
        looker.visit(shop.url + path)
    subscribe = f"{shop.url}/subscribe?price=premium_monthly"
    for way in WAYS:
        assert looker.open(subscribe, way)
        element = looker.page.frame_locator(ELEMENT).first
        expect(element.locator('[name="number"]')).to_be_visible()
        looker.look(way)
        looker.page.locator("#payment-form #submit").click()
        expect(element.get_by_text("Your card number is incomplete.")).to_be_visible()
        looker.look(way)


def test_what_a_customer_with_a_plan_sees(looker: Looker, shop: RunningShop) -> None:
    """Their account and what they read; then behind with paying."""
    alice = subscriber(shop)
    sign_in(looker, alice)
    for path in [*pages(shop), "/account/plan?price=basic_monthly"]:
        looker.visit(shop.url + path)
    fall_behind(shop, alice)
    [unpaid] = [row["id"] for row in shop.rows(Invoice) if row["status"] == "open"]
    for path in ("/account", "/members/premium", f"/pay/{unpaid}"):
        looker.visit(shop.url + path)


def test_what_staff_see(looker: Looker, shop: RunningShop) -> None:
    """A customer's page among them."""
    subscriber(shop)
    sign_in(looker, staff_member(shop))
    for path in pages(shop):
        if path.startswith("/staff"):
            looker.visit(shop.url + path)
    assert shop.rows(Customer)
    looker.visit(f"{shop.url}/staff/customers?q=alice")
    looker.visit(f"{shop.url}/staff/customers/{user_id(shop, 'alice@example.com')}")


def test_the_portal(looker: Looker, sandbox: SandboxProcess) -> None:
    """All its pages, the end of the link too."""
    api, subscription = sandbox.client.v1, paying_customer(sandbox)
    price = subscription["items"].data[0].price
    changes: Any = {
        "enabled": True,
        "default_allowed_updates": ["price", "quantity"],
        "products": [{"product": price.product, "prices": [price.id]}],
    }
    api.payment_methods.attach("pm_card_mastercard", {"customer": str(subscription.customer)})
    features: Any = EVERYTHING | {"subscription_update": changes, "subscription_pause": {"enabled": True}}
    configuration = api.billing_portal.configurations.create({"features": features})
    params: Any = {"customer": subscription.customer, "configuration": configuration.id}
    url = api.billing_portal.sessions.create(params).url
    about = f"{url}/subscriptions/{subscription.id}"
    paths = [
        url,
        f"{about}/cancel",
        f"{about}/pause",
        f"{about}/update",
        f"{about}/confirm",
        f"{url}/customer/update",
        url[:-1],
    ]
    for path in [*paths, f"{url}/payment-methods"]:
        looker.visit(path)


def test_the_sandboxs_own_pages(looker: Looker, sandbox: SandboxProcess) -> None:
    """What there is, what happened, and an invoice as its link shows it."""
    subscription = paying_customer(sandbox)
    invoice = sandbox.client.v1.invoices.retrieve(str(subscription.latest_invoice))
    events = sandbox.events()
    lists = ("", "customers", "subscriptions", "invoices", "payments", "clocks", "events", "deliveries")
    things = (f"objects/{subscription.id}", f"events/{events[0].id}", "3ds/challenge")
    for path in (*lists, *things):
        looker.visit(f"{sandbox.url}/{path}")
    if str(invoice.hosted_invoice_url).startswith(sandbox.url):
        looker.visit(str(invoice.hosted_invoice_url))
