"""The sandbox's page: all that there is can be looked at, and the clock, deliveries and faults can be worked."""

from typing import Any
from urllib.parse import urlencode

import pytest

from tests.sandbox.acts import monthly, paying_customer, refused
from tests.sandbox.conftest import Receiver
from tests.sandbox_process import SandboxProcess


def page(sandbox: SandboxProcess, path: str) -> str:
    status, headers, text = sandbox.request("GET", path)
    assert status == 200, path
    assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
    assert "script" not in headers["content-security-policy"]
    return text


def send(sandbox: SandboxProcess, address: str, **fields: str) -> int:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    return sandbox.request("POST", address, urlencode(fields), form)[0]


@pytest.fixture
def subscription(sandbox: SandboxProcess) -> Any:
    return paying_customer(sandbox)


def test_everything_is_listed_and_leads_on(sandbox: SandboxProcess, subscription: Any) -> None:
    assert subscription.customer in page(sandbox, "/customers")
    assert "active" in page(sandbox, "/subscriptions")
    assert subscription.latest_invoice in page(sandbox, "/invoices")
    assert "succeeded" in page(sandbox, "/payments")
    assert "invoice.paid" in page(sandbox, "/events?type=invoice.*")
    assert "customer.created" not in page(sandbox, "/events?type=invoice.*")
    customer = page(sandbox, f"/objects/{subscription.customer}")
    assert f'href="/objects/{subscription.id}"' in customer
    assert f'href="/objects/{subscription.latest_invoice}"' in customer
    event = sandbox.events("customer.subscription.created")[0]
    shown = page(sandbox, f"/events/{event.id}")
    assert f'<a href="/objects/{subscription.id}">{subscription.id}</a>' in shown
    for path in ("/objects/cus_nothing", "/events/evt_nothing", "/nothing"):
        assert sandbox.request("GET", path)[0] == 404
    for path in ("/customers?before=x", f"/events?before={'9' * 30}&type=%5B", "/customers?q=%00%ff"):
        assert sandbox.request("GET", path)[0] == 200


def test_objects_are_found_by_id_and_customers_by_address_or_name(sandbox: SandboxProcess, subscription: Any) -> None:
    event = sandbox.events()[0].id
    for id, place in ((subscription.id, f"/objects/{subscription.id}"), (event, f"/events/{event}")):
        status, headers, _ = sandbox.request("GET", f"/customers?q={id}")
        assert (status, headers["location"]) == (302, place)
    sandbox.client.v1.customers.update(subscription.customer, {"name": "Carol Danvers"})
    for wanted in ("carol@example.com", "CAROL", "danvers"):
        assert subscription.customer in page(sandbox, f"/invoices?q={wanted}")
    for wanted in ("nobody@example.com", "%25", "cus_nothing"):
        assert subscription.customer not in page(sandbox, f"/customers?q={wanted}")
    assert sandbox.request("GET", "/customers?q=evt_nothing")[1]["location"] == "/events/evt_nothing"


def test_lists_go_on_with_what_is_older(sandbox: SandboxProcess, stripe_api: Any) -> None:
    made = [stripe_api.customers.create({"email": f"c{number}@example.com"}).id for number in range(51)]
    first = page(sandbox, "/customers")
    assert made[-1] in first
    assert made[0] not in first
    older = first.partition('href="?before=')[2].partition('"')[0]
    assert made[0] in page(sandbox, f"/customers?before={older}")


def test_trial_begins_by_a_form(sandbox: SandboxProcess, subscription: Any) -> None:
    place = f"/objects/{subscription.id}"
    assert f'action="{place}/trial"' in page(sandbox, place)
    for days in ("0", "731", "many"):
        assert send(sandbox, f"{place}/trial", days=days) == 400
    assert send(sandbox, "/objects/sub_nothing/trial", days="14") == 404
    assert send(sandbox, f"{place}/trial", days="14") == 303
    now = sandbox.client.v1.subscriptions.retrieve(subscription.id)
    assert now.status == "trialing"
    assert (now.trial_end or 0) - sandbox.now() == pytest.approx(14 * 86400, abs=60)
    assert sandbox.events("customer.subscription.updated")[-1].request.id.startswith("req_")


def test_deliveries_go_on_with_what_is_older(sandbox: SandboxProcess, endpoint: Any, receiver: Receiver) -> None:
    sandbox.post("deliveries", {"mode": "drop"})
    for _ in range(51):
        sandbox.client.v1.customers.create({})
    first = page(sandbox, "/deliveries?state=dropped")
    older = first.partition('href="?before=')[2].partition('"')[0]
    assert first.count("customer.created") == 50
    assert page(sandbox, f"/deliveries?before={older}".replace("&amp;", "&")).count("customer.created") == 1


def test_clock_goes_to_what_is_next(sandbox: SandboxProcess, subscription: Any) -> None:
    """The renewal, then the end of its draft; the page says which."""
    ends = sandbox.client.v1.subscriptions.retrieve(subscription.id)["items"].data[0].current_period_end
    shown = page(sandbox, "/")
    while f'value="{ends}"' not in shown:
        due = shown.partition('name="to" value="')[2].partition('"')[0]
        assert send(sandbox, "/advance", by="next", to=due) == 303
        shown = page(sandbox, "/")
    assert f'end period <a href="/objects/{subscription.id}">' in shown
    send(sandbox, "/advance", by="next", to=str(ends))
    assert sandbox.now() in (ends, ends + 1)
    assert "finalize invoice" in page(sandbox, "/")
    assert send(sandbox, "/advance", by="next", to="9" * 15) == 400


def test_delivery_is_sent_again_by_its_button(sandbox: SandboxProcess, endpoint: Any, receiver: Receiver) -> None:
    receiver.answers = [500]
    sandbox.client.v1.customers.create({})
    sandbox.idle()
    assert "[500]" in page(sandbox, "/deliveries?state=pending")
    delivery = sandbox.get("deliveries")["deliveries"][0]["id"]
    assert send(sandbox, f"/deliveries/{delivery}/retry") == 303
    sandbox.idle()
    assert "[200]" in page(sandbox, "/deliveries")
    assert send(sandbox, "/deliveries/4711/retry") == 404
    assert send(sandbox, f"/deliveries/{'9' * 30}/retry") == 404


def test_events_are_held_back_and_let_go(sandbox: SandboxProcess, endpoint: Any, receiver: Receiver) -> None:
    assert send(sandbox, "/mode", mode="hold") == 303
    sandbox.client.v1.customers.create({})
    sandbox.idle()
    assert receiver.received == []
    assert send(sandbox, "/mode", mode="deliver") == 303
    sandbox.idle()
    assert receiver.types() == ["customer.created"]
    assert send(sandbox, "/mode", mode="nonsense") == 400


def test_fault_befalls_the_next_request_that_fits(sandbox: SandboxProcess, stripe_api: Any) -> None:
    assert send(sandbox, "/faults", kind="answer 500", path="/v1/products", times="1") == 303
    assert "1 more" in page(sandbox, "/")
    stripe_api.customers.create({})
    assert refused(stripe_api.products.create, {"name": "x"}).http_status == 500
    monthly(stripe_api)
    send(sandbox, "/faults", kind="answer 429", path="", times="5")
    send(sandbox, "/faults")
    stripe_api.customers.create({})


def test_what_follows_failed_payments_is_set(sandbox: SandboxProcess) -> None:
    assert send(sandbox, "/settings", dunning="unpaid") == 303
    assert "<option selected>unpaid</option>" in page(sandbox, "/")
    assert send(sandbox, "/settings", dunning="nonsense") == 400


def test_other_sites_may_not_use_it(sandbox: SandboxProcess) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": "http://evil.example"}
    for path in ("/advance", "/mode", "/faults", "/settings", "/deliveries/1/retry"):
        assert sandbox.request("POST", path, "", headers)[0] == 403
    form = {"Content-Type": "application/x-www-form-urlencoded", "Referer": "http://evil.example/"}
    assert sandbox.request("POST", "/mode", "mode=deliver", form)[1]["location"] == "/"
