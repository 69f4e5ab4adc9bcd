"""A tiny shop with the Payment Element, under the same Content-Security-Policy as ours, and hands to fill it in."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from flask import Flask, Response
from playwright.sync_api import FrameLocator, Locator, Page
from werkzeug.serving import make_server

SCRIPT = Path(__file__).with_name("shop.js")
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>A shop</title>
<link rel="icon" href="data:,">
<script src="{sandbox}/endive/stripe.js"></script>
<script type="module" src="/shop.js"></script>
</head>
<body>
<form>
<div id="address"></div>
<div id="payment"></div>
<button id="pay">Pay</button>
<p id="message" role="alert"></p>
</form>
</body>
</html>"""


@contextmanager
def running_shop(sandbox_url: str) -> Iterator[str]:
    """The address of the shop while it is open."""
    policy = (
        f"default-src 'self'; script-src 'self' {sandbox_url}; frame-src {sandbox_url}; "
        f"connect-src 'self' {sandbox_url}; img-src data:"
    )
    app = Flask("shop")
    app.add_url_rule("/", view_func=lambda: PAGE.format(sandbox=sandbox_url))
    app.add_url_rule("/done", endpoint="done", view_func=lambda: "<title>Done</title>Done")
    app.add_url_rule(
        "/shop.js", endpoint="js", view_func=lambda: Response(SCRIPT.read_text(), mimetype="text/javascript")
    )
    app.after_request(lambda response: response.headers.set("Content-Security-Policy", policy) or response)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://localhost:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class PaymentPage:
    """The shop's page in a browser: what a customer sees and does there."""

    def __init__(self, page: Page, shop_url: str) -> None:
        self.page = page
        self.shop_url = shop_url
        self.frame: FrameLocator = page.frame_locator('iframe[title="Secure payment input frame"]')
        self.challenge: FrameLocator = page.frame_locator('iframe[title="3D Secure authentication challenge"]')
        self.message: Locator = page.locator("#message")

    def open(self, secret: str | None = None, **options: Any) -> "PaymentPage":
        """options: elements, payment, address, params and confirm, as the shop's script takes them."""
        query = {name: json.dumps(value) for name, value in options.items()}
        self.page.goto(f"{self.shop_url}/?{urlencode(query | ({'secret': secret} if secret else {}))}")
        return self

    def field(self, name: str) -> Locator:
        return self.frame.locator(f'[name="{name}"]')

    def error_of(self, name: str) -> Locator:
        return self.frame.locator(f"#Field-{name}Error")

    def fill_card(self, number: str = "4242424242424242") -> None:
        self.field("number").fill(number)
        self.field("expiry").fill("12 / 44")
        self.field("cvc").fill("123")
        self.field("postalCode").fill("94103")

    def pay(self) -> None:
        self.page.locator("#pay").click()

    def events(self, name: str) -> list[dict[str, Any]]:
        seen: list[dict[str, Any]] = self.page.evaluate(
            "name => shop.events.filter(event => event.name === name)", name
        )
        return seen

    def landed(self) -> dict[str, str]:
        """The parameters of the return page, once the browser is there."""
        self.page.wait_for_url("**/done?**")
        return {name: values[0] for name, values in parse_qs(urlsplit(self.page.url).query).items()}

    def result(self) -> dict[str, Any]:
        found: dict[str, Any] = self.page.evaluate("() => shop.result")
        return found

    def rejection(self, call: str) -> str:
        """The message of what a call throws or rejects with, after its kind."""
        script = (
            f"async () => {{ try {{ await {call} }} catch (error) {{ return `${{error.name}}: ${{error.message}}` }} }}"
        )
        message: str = self.page.evaluate(script)
        return message
