"""How the API speaks: keys, versions, headers, errors, unknown things."""

import base64
import json
from typing import Any

import pytest
import stripe

from tests.sandbox.acts import FORM, browser, client_secret, customer_with, monthly, refused, subscribe
from tests.sandbox_process import PUBLISHABLE_KEY, SandboxProcess

BEARER = {"Authorization": "Bearer sk_test_sandbox"}


def ask(sandbox: SandboxProcess, method: str, path: str, body: str = "", **headers: str) -> tuple[int, Any, Any]:
    """Status, headers and decoded body of a raw request with the secret key."""
    sent = BEARER | FORM | {name.replace("_", "-"): value for name, value in headers.items()}
    status, answered, text = sandbox.request(method, path, body or None, sent)
    return status, answered, json.loads(text)


def test_basic_auth_works_as_curl_sends_it(sandbox: SandboxProcess) -> None:
    basic = base64.b64encode(b"sk_test_sandbox:").decode()
    status, _, _ = sandbox.request("GET", "/v1/account", headers={"Authorization": f"Basic {basic}"})
    assert status == 200


@pytest.mark.parametrize(
    ("authorization", "says"),
    [
        (None, "You did not provide an API key."),
        ("Bearer sk_test_somebody_elses_key", "Invalid API Key provided: sk_test_*"),
        ("Bearer sk_live_1234567890", "takes no live keys"),
        ("Bearer pk_live_1234567890", "takes no live keys"),
        ("Basic !!!", "You did not provide an API key."),
        ("Bearer sk_test_sandbox2", "Invalid API Key provided"),
    ],
)
def test_any_other_key_is_a_401(sandbox: SandboxProcess, authorization: str | None, says: str) -> None:
    """Without Request-Id and version, and without the key in full."""
    headers = {"Authorization": authorization} if authorization else {}
    status, answered, text = sandbox.request("GET", "/v1/account", headers=headers)
    error = json.loads(text)["error"]
    assert status == 401
    assert sorted(error) == ["message", "type"]
    assert says in error["message"]
    assert "somebody_elses" not in error["message"]
    assert answered["www-authenticate"] == 'Bearer realm="Stripe"'
    assert not {"request-id", "stripe-version"} & answered.keys()


def test_publishable_key_may_not_do_what_servers_do(sandbox: SandboxProcess, stripe_api: Any) -> None:
    customer = stripe_api.customers.create({})
    for method, path in (
        ("GET", f"/v1/customers/{customer.id}"),
        ("GET", "/v1/customers"),
        ("POST", "/v1/customers"),
        ("GET", "/v1/payment_intents"),
        ("POST", "/v1/subscriptions"),
        ("GET", "/v1/events"),
    ):
        status, body = browser(sandbox, method, path)
        assert (status, body["error"]["code"]) == (401, "secret_key_required"), path
    assert len(stripe_api.customers.list({}).data) == 1


def test_publishable_key_needs_the_client_secret(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """With it a browser sees the documented fields of that intent and no others."""
    subscription = subscribe(stripe_api, stripe_api.customers.create({}).id, monthly(stripe_api).id)
    secret = client_secret(subscription)
    id = secret.partition("_secret_")[0]
    status, body = browser(sandbox, "GET", f"/v1/payment_intents/{id}", client_secret=secret)
    assert (status, body["status"]) == (200, "requires_payment_method")
    assert not {"customer", "metadata", "latest_charge", "payment_details"} & body.keys()
    for wrong in ({}, {"client_secret": secret[:-1] + "!"}, {"client_secret": "ü"}):
        assert browser(sandbox, "GET", f"/v1/payment_intents/{id}", **wrong)[0] == 400
        assert browser(sandbox, "POST", f"/v1/payment_intents/{id}/confirm", **wrong)[0] == 400


def test_headers_of_a_good_answer(sandbox: SandboxProcess) -> None:
    status, headers, _ = ask(sandbox, "POST", "/v1/customers", "name=Ann", Idempotency_Key="one")
    assert status == 200
    assert headers["request-id"].startswith("req_")
    assert headers["original-request"] == headers["request-id"]
    assert headers["idempotency-key"] == "one"
    assert headers["stripe-should-retry"] == "false"
    assert headers["stripe-version"] == "2026-10-28.endive"
    assert headers["content-type"] == "application/json"
    assert headers["access-control-allow-origin"] == "*"
    assert headers["cache-control"] == "no-cache, no-store"
    _, headers, _ = ask(sandbox, "GET", "/v1/customers")
    assert not {"original-request", "stripe-should-retry", "idempotency-key"} & headers.keys()


def test_date_header_follows_the_worlds_clock(sandbox: SandboxProcess) -> None:
    _, headers, _ = ask(sandbox, "GET", "/v1/customers")
    year = int(headers["date"].split()[3])
    sandbox.advance(days=366)
    _, headers, _ = ask(sandbox, "GET", "/v1/customers")
    assert int(headers["date"].split()[3]) == year + 1


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "data:text/html,x", "//shop.example", "/complete", "http://", "http://["]
)
def test_addresses_are_of_the_web(stripe_api: Any, address: str) -> None:
    """A path alone will not do, nor what a browser would carry out."""
    paying = {"amount": 500, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}
    history = {"invoice_history": {"enabled": True}}
    for call, params, name in (
        (stripe_api.payment_intents.create, paying | {"return_url": address}, "return_url"),
        (stripe_api.webhook_endpoints.create, {"url": address, "enabled_events": ["*"]}, "url"),
        (
            stripe_api.billing_portal.configurations.create,
            {"features": history, "business_profile": {"terms_of_service_url": address}},
            "business_profile[terms_of_service_url]",
        ),
    ):
        error = refused(call, params)
        assert (error.http_status, error.code, error.param) == (400, "url_invalid", name)


def test_preflight_of_a_browser_is_answered(sandbox: SandboxProcess) -> None:
    asked = {"Origin": "http://localhost:4242", "Access-Control-Request-Headers": "authorization,content-type"}
    status, headers, _ = sandbox.request("OPTIONS", "/v1/payment_intents/pi_1/confirm", headers=asked)
    assert status == 200
    assert headers["access-control-allow-headers"] == "authorization,content-type"
    assert "POST" in headers["access-control-allow-methods"]


@pytest.mark.parametrize(
    "stranger",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost.evil.example:4242"},
        {"Origin": "http://["},
        {"Host": "evil.example"},  # a name that was made to lead to this machine
    ],
)
def test_pages_of_other_sites_are_refused(sandbox: SandboxProcess, stranger: dict[str, str]) -> None:
    """Everybody knows the keys, so no site may use them in a developer's browser. The shop's own pages may."""
    for path in ("/v1/customers", "/_sandbox/reset", "/advance", "/elements/payment"):
        for method, body in (("POST", ""), ("GET", None)):
            status, _, text = sandbox.request(method, path, body, BEARER | FORM | stranger)
            assert (status in (400, 403), "Traceback" in text) == (True, False), path
    assert sandbox.client.v1.customers.list({}).data == []
    own = {"Origin": "http://localhost:4242"}
    assert sandbox.request("GET", "/v1/customers", headers=BEARER | own)[0] == 200


def test_answers_are_pretty_printed_with_ordered_keys(sandbox: SandboxProcess) -> None:
    """id and object first, then the alphabet; two blanks; UTF-8 as it is."""
    _, _, text = sandbox.request("POST", "/v1/customers", "name=Zo%C3%AB", BEARER | FORM)
    assert text.startswith('{\n  "id": "cus_')
    assert '"name": "Zoë"' in text
    keys = list(json.loads(text))
    assert keys[:2] == ["id", "object"]
    assert keys[2:] == sorted(keys[2:])
    assert text == json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"
    _, _, text = sandbox.request("GET", "/v1/customers", headers=BEARER)
    assert list(json.loads(text)) == ["object", "data", "has_more", "url"]


@pytest.mark.parametrize(("version", "status"), [("2026-10-28.endive", 200), ("2019-01-01", 400), ("endive", 400)])
def test_other_versions_are_refused(sandbox: SandboxProcess, version: str, status: int) -> None:
    assert ask(sandbox, "GET", "/v1/customers", Stripe_Version=version)[0] == status


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/foo"),
        ("GET", "/v1"),
        ("PUT", "/v1/customers"),
        ("DELETE", "/v1/customers"),
        ("GET", "/v1//customers"),
    ],
)
def test_unknown_routes_are_a_404(sandbox: SandboxProcess, method: str, path: str) -> None:
    status, _, body = ask(sandbox, method, path)
    assert status == 404
    assert body["error"]["message"].startswith(f"Unrecognized request URL ({method}: {path}). Please see")


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/balance"), ("POST", "/v1/credit_notes/preview_x/void")])
def test_what_stripe_has_and_the_sandbox_lacks_is_said_so(sandbox: SandboxProcess, method: str, path: str) -> None:
    """By name: nobody looks for a misspelling."""
    status, _, body = ask(sandbox, method, path)
    assert (status, body["error"]["code"]) == (400, "sandbox_not_built")
    assert f"{method} {path}" in body["error"]["message"]


def test_errors_lead_to_the_log_of_their_request(sandbox: SandboxProcess) -> None:
    status, headers, body = ask(sandbox, "GET", "/v1/customers/cus_none")
    account = ask(sandbox, "GET", "/v1/account")[2]["id"]
    url = f"https://dashboard.stripe.com/{account}/test/workbench/logs?object={headers['request-id']}"
    assert (status, body["error"]["request_log_url"]) == (404, url)
    assert list(body["error"]) == sorted(body["error"])
    _, _, refused = sandbox.request("GET", "/v1/customers", headers={"Authorization": "Bearer sk_test_wrong"})
    assert sorted(json.loads(refused)["error"]) == ["message", "type"]


@pytest.mark.parametrize(
    ("body", "code", "param", "message"),
    [
        ("foo=1", "parameter_unknown", "foo", "Received unknown parameter: foo"),
        ("foo=1&bar[x]=1", "parameter_unknown", "foo", "Received unknown parameters: foo, bar"),
        ("balance=x", "parameter_invalid_integer", "balance", "Invalid integer: x"),
        ("tax_exempt=maybe", None, "tax_exempt", "Invalid tax_exempt: must be one of exempt, none, or reverse"),
        ("name[first]=x", None, "name", "Invalid string: {'first': 'x'}"),
        ("metadata=x", None, "metadata", "Invalid object"),
        ("preferred_locales=en", None, "preferred_locales", "Invalid array"),
        ("email=nonsense", "email_invalid", "email", "Invalid email address: nonsense"),
        ("cash_balance[settings][reconciliation_mode]=manual", "sandbox_not_built", None, None),
        ("payment_method=pm_x", "resource_missing", "payment_method", None),
        ("metadata[" + "k" * 41 + "]=1", None, "metadata", None),
        ("metadata[k]=" + "v" * 501, None, "metadata[k]", None),
        ("a[b=1&a=2&=3&&%00=1", "parameter_unknown", None, None),
        ("name=%ff", None, None, "Invalid request: the parameters are not UTF-8."),
        ("name=x&name[y]=1", None, None, None),
        ("metadata" + "[a]" * 9999 + "=1", None, None, None),
        ("balance=" + "9" * 30, "parameter_invalid_integer", None, None),
        ("balance=%D9%A3", "parameter_invalid_integer", "balance", "Invalid integer: ٣"),
        ("preferred_locales[%C2%B2]=en", None, "preferred_locales", "Invalid array"),
        ("next_invoice_sequence=-5", "parameter_invalid_integer", "next_invoice_sequence", None),
    ],
)
def test_bad_parameters_are_stripes_errors(
    sandbox: SandboxProcess, body: str, code: str | None, param: str | None, message: str | None
) -> None:
    """And nothing is made."""
    status, _, answer = ask(sandbox, "POST", "/v1/customers", body)
    error = answer["error"]
    assert (status, error["type"], error.get("code")) == (400, "invalid_request_error", code)
    assert param is None or error["param"] == param
    assert message is None or error["message"] == message
    assert ("doc_url" in error) == (code is not None)
    assert ask(sandbox, "GET", "/v1/customers")[2]["data"] == []


def test_other_content_types_are_refused(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """JSON is not taken, and nothing is made of it."""
    headers = {**BEARER, "Content-Type": "application/json"}
    status, _, body = sandbox.request("POST", "/v1/customers", '{"name": "Ann"}', headers)
    assert status == 400
    assert json.loads(body)["error"]["message"].startswith("Invalid request (check that your POST content type is")
    assert stripe_api.customers.list().data == []


def test_parameters_of_the_query_and_of_a_deletes_body_count(sandbox: SandboxProcess) -> None:
    """As curl sends them."""
    status, _, made = ask(sandbox, "POST", "/v1/customers?name=Ann", "email=ann@example.com")
    assert (status, made["name"], made["email"]) == (200, "Ann", "ann@example.com")
    status, _, answer = ask(sandbox, "DELETE", f"/v1/customers/{made['id']}", "foo=1")
    assert (status, answer["error"]["code"]) == (400, "parameter_unknown")


def test_head_is_get_without_the_body(sandbox: SandboxProcess) -> None:
    """The same status and headers."""
    for path in ("/v1/customers", "/v1/customers/cus_none"):
        got, headed = sandbox.request("GET", path, None, BEARER), sandbox.request("HEAD", path, None, BEARER)
        assert (headed[0], headed[2]) == (got[0], "")
        assert headed[1].keys() == got[1].keys()


@pytest.mark.parametrize("header", ["Stripe-Account", "Stripe-Context"])
def test_another_account_is_out_of_reach(sandbox: SandboxProcess, header: str) -> None:
    """Its own is fine."""
    own = ask(sandbox, "GET", "/v1/account")[2]["id"]
    status, _, text = sandbox.request("GET", "/v1/customers", None, {**BEARER, header: "acct_other"})
    assert (status, json.loads(text)["error"]["code"]) == (403, "account_invalid")
    assert sandbox.request("GET", "/v1/customers", None, {**BEARER, header: own})[0] == 200


def test_a_rate_limit_lets_so_many_through(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """Then 429 with its reason, as stripe-python raises it, and after a second it goes on."""
    sandbox.post("rate_limit", {"per_second": 2})
    made, refusals = 0, list[Any]()
    for _ in range(6):
        try:
            stripe_api.customers.create()
            made += 1
        except stripe.RateLimitError as error:
            refusals.append(error)
    sandbox.post("rate_limit", {"per_second": 0})
    assert made >= 2 and refusals
    assert refusals[0].json_body["error"]["code"] == "rate_limit"
    assert refusals[0].headers["Stripe-Rate-Limited-Reason"] == "global-rate"
    assert len(stripe_api.customers.list().data) == made


def test_a_lock_has_no_reason_and_may_be_tried_again(sandbox: SandboxProcess) -> None:
    """stripe-python does so by itself."""
    sandbox.fault(path="/v1/customers", status=429, reason="lock")
    assert sandbox.make_client(max_network_retries=1).v1.customers.create().id
    sandbox.fault(path="/v1/customers", status=429, reason="lock")
    error = refused(sandbox.client.v1.customers.create)
    assert error.json_body["error"]["code"] == "lock_timeout"
    assert "Stripe-Rate-Limited-Reason" not in error.headers


def test_missing_parameter_is_named(sandbox: SandboxProcess) -> None:
    status, _, answer = ask(sandbox, "POST", "/v1/prices", "unit_amount=5")
    assert (status, answer["error"]["code"]) == (400, "parameter_missing")
    assert answer["error"]["message"] == "Missing required param: currency."


def test_body_that_is_too_long_is_refused(sandbox: SandboxProcess) -> None:
    status, _, body = ask(sandbox, "POST", "/v1/customers", "name=" + "x" * 2_000_000)
    assert (status, body["error"]["type"]) == (413, "invalid_request_error")
    assert ask(sandbox, "GET", "/v1/customers")[2]["data"] == []


@pytest.mark.stripe_verified
def test_empty_values_unset(stripe_api: Any) -> None:
    address = {"line1": "1 Main St", "country": "US"}
    customer = stripe_api.customers.create({"address": address, "metadata": {"a": "1", "b": "2"}})
    changed = stripe_api.customers.update(customer.id, {"address": "", "metadata": {"a": ""}})
    assert (changed.address, changed.metadata.to_dict()) == (None, {"b": "2"})
    assert stripe_api.customers.update(customer.id, {"metadata": ""}).metadata.to_dict() == {}
    assert stripe_api.customers.create({"name": "", "email": "c@example.com"}).name is None
    assert stripe_api.customers.update(customer.id, {"description": "", "email": "", "phone": ""}).email is None


@pytest.mark.stripe_verified
def test_metadata_takes_50_keys(stripe_api: Any) -> None:
    customer = stripe_api.customers.create({"metadata": {f"k{number}": "v" for number in range(50)}})
    assert refused(stripe_api.customers.update, customer.id, {"metadata": {"one_more": "v"}}).http_status == 400


@pytest.mark.stripe_verified
def test_missing_thing_in_the_path_is_404_and_in_a_parameter_400(stripe_api: Any) -> None:
    error = refused(stripe_api.customers.retrieve, "cus_nobody")
    assert (error.http_status, error.code, error.param) == (404, "resource_missing", "id")
    assert error.user_message == "No such customer: 'cus_nobody'"
    error = refused(stripe_api.payment_methods.attach, "pm_nothing", {"customer": stripe_api.customers.create({}).id})
    assert (error.http_status, error.param) == (404, "payment_method")
    error = refused(stripe_api.payment_methods.attach, "pm_card_visa", {"customer": "cus_nobody"})
    assert (error.http_status, error.param) == (400, "customer")


def test_expand_reaches_four_levels(sandbox: SandboxProcess, stripe_api: Any) -> None:
    customer, price = customer_with(stripe_api), monthly(stripe_api)
    made = stripe_api.subscriptions.create({"customer": customer.id, "items": [{"price": price.id}]})
    paths = [
        "customer.invoice_settings.default_payment_method",
        "items.data.price.product",
        "latest_invoice.payments.data.payment.payment_intent",
    ]
    error = refused(stripe_api.subscriptions.retrieve, made.id, {"expand": paths})
    assert "more than 4 levels" in error.user_message
    found = stripe_api.subscriptions.retrieve(made.id, {"expand": paths[:2]})
    assert found.customer.invoice_settings.default_payment_method.card.last4 == "4242"
    assert found["items"].data[0].price.product.name == "Basic"
    listed = stripe_api.subscriptions.list({"expand": ["data.latest_invoice.customer"]}).data[0]
    assert listed.latest_invoice.customer.id == customer.id
    for path in ("status", "id", "created", "metadata", "description", "nothing", "customer.email", "items.data.id"):
        error = refused(stripe_api.subscriptions.retrieve, made.id, {"expand": [path]})
        assert (error.http_status, error.user_message) == (400, f"This property cannot be expanded ({path}).")


def test_lists_page_in_both_directions(stripe_api: Any) -> None:
    """Newest first; all of them once; has_more says whether there is another page."""
    ids = [stripe_api.customers.create({"email": f"c{number}@example.com"}).id for number in range(7)][::-1]
    first = stripe_api.customers.list({"limit": 3})
    assert ([one.id for one in first.data], first.has_more) == (ids[:3], True)
    second = stripe_api.customers.list({"limit": 3, "starting_after": ids[2]})
    assert ([one.id for one in second.data], second.has_more) == (ids[3:6], True)
    last = stripe_api.customers.list({"limit": 3, "starting_after": ids[5]})
    assert ([one.id for one in last.data], last.has_more) == (ids[6:], False)
    back = stripe_api.customers.list({"limit": 3, "ending_before": ids[6]})
    assert ([one.id for one in back.data], back.has_more) == (ids[3:6], True)
    assert [one.id for one in stripe_api.customers.list({"limit": 2}).auto_paging_iter()] == ids
    assert [one.id for one in stripe_api.customers.list({"email": "c3@example.com"}).data] == [ids[3]]
    both = {"starting_after": ids[6], "ending_before": ids[0]}
    for bad in ({"limit": 0}, {"limit": 101}, {"starting_after": "cus_nobody"}, both):
        assert refused(stripe_api.customers.list, bad).http_status == 400


def test_requests_are_logged_without_their_secrets(sandbox: SandboxProcess, stripe_api: Any) -> None:
    fields = {"type": "card", "card[number]": "4242424242424242", "card[exp_month]": "1", "card[exp_year]": "40"}
    assert browser(sandbox, "POST", "/v1/payment_methods", **fields, **{"card[cvc]": "123"})[0] == 200
    stripe_api.customers.create({"name": "Ann"}, {"idempotency_key": "abc"})
    first, second = sandbox.requests()
    assert "4242" not in json.dumps(first)
    assert PUBLISHABLE_KEY not in json.dumps(first)
    assert (first["key"], first["params"]["card"]) == ("publishable", {"exp_month": "1", "exp_year": "40"})
    assert (second["path"], second["idempotency_key"], second["status"]) == ("/v1/customers", "abc", 200)
