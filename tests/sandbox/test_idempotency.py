"""One key, one effect."""

import threading
import uuid
from typing import Any

import pytest
import stripe

from tests.sandbox.acts import customer_with, refused
from tests.sandbox_process import SandboxProcess


def test_same_key_and_parameters_repeat_the_answer(sandbox: SandboxProcess, stripe_api: Any) -> None:
    first = stripe_api.customers.create({"name": "Ann"}, {"idempotency_key": "one"})
    again = stripe_api.customers.create({"name": "Ann"}, {"idempotency_key": "one"})
    assert again.id == first.id
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert again.last_response.headers["Original-Request"] == first.last_response.headers["Request-Id"]
    assert len(stripe_api.customers.list({}).data) == 1
    assert len(sandbox.events("customer.created")) == 1
    assert sandbox.events("customer.created")[0].request.idempotency_key == "one"


@pytest.mark.stripe_verified
def test_same_key_with_other_parameters_is_refused(stripe_api: Any) -> None:
    """And the first answer is still remembered."""
    fresh = str(uuid.uuid4())
    first = stripe_api.customers.create({"name": "Ann"}, {"idempotency_key": fresh})
    for call in (stripe_api.customers.create, stripe_api.products.create):
        error = refused(call, {"name": "Bob"}, {"idempotency_key": fresh})
        assert isinstance(error, stripe.IdempotencyError)
        assert error.http_status == 400
    assert stripe_api.customers.create({"name": "Ann"}, {"idempotency_key": fresh}).id == first.id


@pytest.mark.stripe_verified
def test_refusals_after_execution_began_are_repeated_too(stripe_api: Any) -> None:
    """A customer that exists by now does not change what the key has answered."""
    fresh = str(uuid.uuid4())
    params, key = {"customer": "cus_nobody", "items": [{"price": "price_none"}]}, {"idempotency_key": fresh}
    first = refused(stripe_api.subscriptions.create, params, key)
    again = refused(stripe_api.subscriptions.create, params, key)
    assert again.http_status == first.http_status == 400
    assert again.headers["idempotent-replayed"] == "true"


def test_a_decline_is_repeated_and_not_tried_again(sandbox: SandboxProcess, stripe_api: Any) -> None:
    customer = customer_with(stripe_api, "pm_card_chargeCustomerFail")
    method = customer.invoice_settings.default_payment_method
    params = {"amount": 500, "currency": "usd", "customer": customer.id, "payment_method": method, "confirm": True}
    params["return_url"] = "http://localhost/"
    for _ in range(2):
        error = refused(stripe_api.payment_intents.create, params, {"idempotency_key": "pay"})
        assert (error.http_status, error.code) == (402, "card_declined")
    assert len(sandbox.events("charge.failed")) == 1


@pytest.mark.stripe_verified
def test_a_request_that_never_began_leaves_its_key_free(stripe_api: Any) -> None:
    fresh = str(uuid.uuid4())
    key = {"idempotency_key": fresh}
    assert refused(stripe_api.customers.create, {"nonsense": "x"}, key).code == "parameter_unknown"
    assert stripe_api.customers.create({"name": "Ann"}, key).name == "Ann"


def test_same_key_at_the_same_time_makes_one(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """The others are told that it is in use, or get the first one's answer."""
    barrier, outcomes = threading.Barrier(8), []

    def create() -> None:
        client = sandbox.make_client()
        barrier.wait()
        try:
            outcomes.append(client.v1.customers.create({"name": "Ann"}, {"idempotency_key": "one"}).id)
        except stripe.StripeError as error:
            body: Any = error.json_body
            outcomes.append("in use" if body["error"]["code"] == "idempotency_key_in_use" else str(error))

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 8
    assert len(set(outcomes) - {"in use"}) == 1
    assert len(stripe_api.customers.list({}).data) == 1


@pytest.mark.parametrize("fault", [{"drop": True}, {"status": 500}])
def test_answer_that_got_lost_is_had_again_by_the_sdks_retry(sandbox: SandboxProcess, fault: dict[str, Any]) -> None:
    """The customer was made, the answer lost; stripe-python asks again with its key and gets the same one."""
    sandbox.fault(method="POST", path="/v1/customers", when="after", **fault)
    client = sandbox.make_client(max_network_retries=2)
    customer = client.v1.customers.create({"name": "Ann"})
    assert [one.id for one in client.v1.customers.list({}).data] == [customer.id]


def test_faults_before_execution_change_nothing(sandbox: SandboxProcess, stripe_api: Any) -> None:
    sandbox.fault(path="/v1/customers", status=429, times=1)
    assert isinstance(refused(stripe_api.customers.create, {}), stripe.RateLimitError)
    sandbox.fault(path="/v1/customers", status=503, times=1)
    assert isinstance(refused(stripe_api.customers.create, {}), stripe.APIError)
    sandbox.fault(path="/v1/customers", drop=True, times=1)
    assert isinstance(refused(stripe_api.customers.create, {}), stripe.APIConnectionError)
    assert stripe_api.customers.list({}).data == []
