"""The sandbox's browser side: stripe.js, the Payment Element's frames and the 3D Secure challenge."""

from pathlib import Path

from flask import Blueprint, Response, request

HERE = Path(__file__).parent
TRAIN = "endive"

# Joined in this order into one classic script: a shop loads it with a plain <script src>.
STRIPE_JS = ("api", "integration", "options", "channel", "element", "elements", "challenge", "confirm", "stripe")
PAGES = {
    "/elements/payment": "payment.html",
    "/elements/address": "address.html",
    "/3ds/challenge": "challenge.html",
}
# A shop is on the same machine, on any port; nobody else may frame these pages.
SHOPS = " ".join(f"{scheme}://{host}:*" for scheme in ("http", "https") for host in ("localhost", "127.0.0.1"))
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    f"base-uri 'none'; form-action 'none'; frame-ancestors {SHOPS}"
)

browser = Blueprint("browser", __name__, static_folder="static", static_url_path="/elements/static")


@browser.get("/<train>/stripe.js")
def stripe_js(train: str) -> Response:
    """The stand-in for Stripe.js, for the one release train the sandbox speaks."""
    if train != TRAIN:
        text = f"The sandbox has no {train}/stripe.js: it speaks the {TRAIN} release train. Load /{TRAIN}/stripe.js.\n"
        return Response(text, status=404, mimetype="text/plain")
    files = (HERE / "stripe_js" / f"{name}.js" for name in STRIPE_JS)
    joined = "\n".join(file.read_text(encoding="utf-8") for file in files)
    return _fresh(Response(f'(() => {{\n"use strict";\n{joined}\n}})();\n', mimetype="text/javascript"))


@browser.get("/elements/static/api.js")
def api_js() -> Response:
    """The part of stripe.js that calls the API, for the frames, which make their own calls."""
    text = (HERE / "stripe_js" / "api.js").read_text(encoding="utf-8")
    return _fresh(Response(f"{text}\nexport {{ callApi, withoutEmpty }};\n", mimetype="text/javascript"))


def _page(name: str) -> Response:
    text = (HERE / "pages" / name).read_text(encoding="utf-8")
    response = Response(text, mimetype="text/html")
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return _fresh(response)


def _fresh(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-cache"
    response.add_etag()
    response.make_conditional(request)
    return response


for _path, _name in PAGES.items():
    browser.add_url_rule(_path, endpoint=_name.removesuffix(".html"), view_func=lambda name=_name: _page(name))
