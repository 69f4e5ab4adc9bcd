"""Bad input to the JSON routes: the right status, a message that names the field, nothing done."""

import pytest
import sqlalchemy as sa

import db
from models import Checkout, Customer
from tests.shop import Visitor

ROUTES = ["/create-customer", "/create-subscription", "/cancel-subscription", "/resume-subscription", "/complete/sync"]
WITH_BODY = ROUTES[:4]


@pytest.fixture
def alice(shop):
    return shop.member()


def code(answer):
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json()["error"]["message"]
    assert answer.json()["error"]["request_id"]
    return answer.status_code, answer.json()["error"]["code"]


@pytest.mark.parametrize("path", ROUTES)
def test_nobody_is_a_401_in_json(shop, path):
    """Whatever Accept says."""
    visitor = shop.visitor()

    assert code(visitor.send(path, {})) == (401, "not_signed_in")


@pytest.mark.parametrize("path", ROUTES)
def test_no_csrf_token_is_a_400(alice, path):
    """Another site can't press our buttons."""
    assert code(alice.send(path, {}, token="wrong")) == (400, "csrf")
    assert code(alice.session.post(alice.url + path, json={})) == (400, "csrf")


@pytest.mark.parametrize("path", ROUTES)
def test_get_is_a_405(alice, path):
    """What changes something is a POST."""
    assert code(alice.get(path)) == (405, "method_not_allowed")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"x"', b"NaN", b'{"a": Infinity}', b"\xff", b"[" * 50_000, b'{"a":' * 9_000]
)
@pytest.mark.parametrize("path", WITH_BODY)
def test_broken_json_is_a_400(alice, path, body):
    """Never a stack trace."""
    headers = {"X-CSRFToken": alice.token(), "Content-Type": "application/json"}

    assert code(alice.session.post(alice.url + path, data=body, headers=headers))[0] == 400


@pytest.mark.parametrize("path", WITH_BODY)
def test_a_form_is_a_400(alice, path):
    """These routes speak JSON."""
    answer = alice.session.post(alice.url + path, data={"csrf_token": alice.token(), "priceId": "x"})

    assert code(answer) == (400, "invalid_json")


def test_a_huge_body_is_refused(alice):
    """64 KiB are enough for any form of ours."""
    assert code(alice.send("/create-customer", name="x" * 70_000))[0] == 413


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/create-customer", {"name": 5}, "name"),
        ("/create-customer", {"name": ""}, "name"),
        ("/create-customer", {"name": "x" * 256}, "name"),
        ("/create-customer", {"name": "a\0b"}, "name"),
        ("/create-customer", {"name": "\ud800"}, "name"),
        ("/create-customer", {"address": "here"}, "address"),
        ("/create-customer", {"address": {"planet": "Mars"}}, "address.planet"),
        ("/create-customer", {"address": {"line1": ["x"]}}, "address.line1"),
        ("/create-customer", {"shipping": {"name": "Alice"}}, "shipping.address"),
        ("/create-customer", {"email": "other@example.com"}, "email"),
        ("/create-customer", {"colour": "red"}, "colour"),
        ("/create-subscription", {}, "lookupKey"),
        ("/create-subscription", {"lookupKey": "basic_monthly", "priceId": "price_1"}, "lookupKey"),
        ("/create-subscription", {"lookupKey": 5}, "lookupKey"),
        ("/create-subscription", {"priceId": ["price_1"]}, "priceId"),
        ("/create-subscription", {"lookupKey": "x" * 256}, "lookupKey"),
        ("/create-subscription", {"lookupKey": "basic_monthly", "currency": "euro"}, "currency"),
        ("/create-subscription", {"lookupKey": "basic_monthly", "currency": "gbp"}, "currency"),
        ("/create-subscription", {"lookupKey": "basic_monthly", "quantity": 2}, "quantity"),
        ("/cancel-subscription", {}, "subscriptionId"),
        ("/cancel-subscription", {"subscriptionId": None}, "subscriptionId"),
        ("/cancel-subscription", {"subscriptionId": 7}, "subscriptionId"),
        ("/cancel-subscription", {"subscriptionId": "sub_1", "atPeriodEnd": "true"}, "atPeriodEnd"),
        ("/cancel-subscription", {"subscriptionId": "sub_1", "reason": "bored"}, "reason"),
        ("/cancel-subscription", {"subscriptionId": "sub_1", "comment": "x" * 2001}, "comment"),
        ("/resume-subscription", {}, "subscriptionId"),
    ],
)
def test_a_wrong_field_is_named(alice, shop, path, body, field):
    """400, with the field's name."""
    answer = alice.send(path, body)

    assert code(answer) == (400, "invalid_field")
    assert answer.json()["error"]["field"] == field
    assert field.rsplit(".")[-1] in answer.json()["error"]["message"]
    assert (shop.rows(Checkout), shop.rows(Customer)) == ([], [])


@pytest.mark.parametrize("body", [{"lookupKey": "gold_monthly"}, {"priceId": "price_nothing"}])
def test_an_unknown_plan_is_a_404(alice, shop, body):
    """Perhaps it was replaced."""
    assert code(alice.send("/create-subscription", body)) == (404, "unknown_price")
    assert shop.rows(Checkout) == []


def test_somebody_elses_customer_id_is_a_404(alice, shop):
    """As is one that does not exist, whether one is a customer already or not."""
    bob = shop.member("bob@example.com")
    bobs = bob.send("/create-customer").json()["customer"]["id"]

    for _ in range(2):
        for customer_id in (bobs, "cus_nothing"):
            answer = alice.send("/create-subscription", lookupKey="basic_monthly", customerId=customer_id)
            assert code(answer) == (404, "not_found")
        alice.send("/create-customer")


def test_ones_own_customer_id_is_taken(alice):
    """The guide's pages send it."""
    own = alice.send("/create-customer").json()["customer"]["id"]

    assert alice.send("/create-subscription", lookupKey="basic_monthly", customerId=own).status_code == 200


def test_a_price_by_its_id_will_do_too(alice):
    """The guide's `priceId`."""
    prices = alice.get("/config").json()["prices"]

    assert alice.send("/create-subscription", priceId=prices[0]["id"]).json()["intent"] == "payment"


def test_an_archived_price_is_not_sold(alice, shop):
    """Our table follows Stripe's event."""
    price = alice.get("/config").json()["prices"][0]
    shop.sandbox.client.v1.prices.update(price["id"], {"active": False})
    shop.settle()

    assert code(alice.send("/create-subscription", priceId=price["id"])) == (404, "unknown_price")


def test_the_price_of_an_archived_product_is_not_sold(alice, shop):
    """The product counts, too."""
    price = alice.get("/config").json()["prices"][0]
    shop.sandbox.client.v1.products.update(price["product"]["id"], {"active": False})
    shop.settle()

    assert code(alice.send("/create-subscription", priceId=price["id"])) == (404, "unknown_price")


@pytest.mark.parametrize("query", ["", "?price=gold", "?price=basic_monthly&currency=gbp", "?price=" + "x" * 5000])
def test_a_page_for_a_plan_that_is_not_there_is_a_404_page(alice, query):
    """With a way on."""
    answer = alice.get("/subscribe" + query)

    assert answer.status_code == 404
    assert "text/html" in answer.headers["Content-Type"]


@pytest.mark.parametrize("path", ["/account", "/complete", "/subscribe?price=basic_monthly", "/members/basic"])
def test_pages_send_strangers_to_the_log_in(shop, path):
    """And back."""
    answer = Visitor(shop.url).get(path, allow_redirects=False)

    assert answer.status_code == 302
    assert "/login?next=" in answer.headers["Location"]


def test_a_client_secret_does_not_travel_on(shop):
    """Signed out on the return page: the query is dropped."""
    answer = shop.visitor().get("/complete?payment_intent_client_secret=pi_1_secret_2", allow_redirects=False)

    assert "secret" not in answer.headers["Location"]


def test_the_config_has_no_secrets(shop):
    """Anybody may read it."""
    answer = shop.visitor().get("/config")

    assert answer.json()["publishableKey"] == "pk_test_sandbox"
    assert "sk_test" not in answer.text
    assert {price["lookup_key"] for price in answer.json()["prices"]} == {"basic_monthly", "premium_monthly"}


def test_an_attempt_is_of_one_user(shop, alice):
    """Two people at once do not meet."""
    bob = shop.member("bob@example.com")
    attempts = {alice.subscribe()["subscriptionId"], bob.subscribe()["subscriptionId"]}

    assert len(attempts) == 2
    with shop.app.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).select_from(Checkout)) == 2


def test_the_page_says_that_the_currency_stays_before_it_does(alice, shop):
    """Opening the page makes the order, and its currency is the customer's for good."""
    first = alice.get("/subscribe?price=basic_monthly&currency=eur").text
    alice.subscribe("basic_monthly", currency="eur")
    shop.settle()

    assert "You pay in EUR from now on" in first
    assert "from now on" not in alice.get("/subscribe?price=basic_monthly&currency=eur").text
