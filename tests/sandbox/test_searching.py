"""Search: by fields and metadata, in Stripe's query language."""

from typing import Any

import pytest

from tests.sandbox.acts import monthly, paying_customer, refused
from tests.sandbox_process import SandboxProcess


@pytest.fixture
def people(stripe_api: Any) -> dict[str, str]:
    """Ids of three customers, by name."""
    given = {"Ann O'Hara": {"plan": "basic"}, "Bob": {"plan": "premium"}, "Annabel": {}}
    params: list[dict[str, Any]] = [
        {"name": name, "email": f"{name[:3].lower()}@example.com", "metadata": m} for name, m in given.items()
    ]
    return {param["name"]: stripe_api.customers.create(param).id for param in params}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("email:'bob@example.com'", ["Bob"]),
        ('name:"annabel"', ["Annabel"]),
        (r"name:'Ann O\'Hara'", ["Ann O'Hara"]),
        ("name~'ann'", ["Annabel", "Ann O'Hara"]),
        ("metadata['plan']:'premium' OR metadata['plan']:'basic'", ["Bob", "Ann O'Hara"]),
        ("name~'ann' AND metadata[\"plan\"]:'basic'", ["Ann O'Hara"]),
        ("-metadata['plan']:null", ["Bob", "Ann O'Hara"]),
        ("-name~'ann'", ["Bob"]),
        ("created>0 and created<=99999999999", ["Annabel", "Bob", "Ann O'Hara"]),
        ("phone:'123'", []),
    ],
)
def test_customers_are_found(stripe_api: Any, people: dict[str, str], query: str, names: list[str]) -> None:
    """The newest first, whatever the case."""
    found = stripe_api.customers.search({"query": query})
    assert [one.name for one in found] == names


def test_results_come_a_page_at_a_time(stripe_api: Any, people: dict[str, str]) -> None:
    """With the page to ask for next, and a count if that is asked for."""
    first = stripe_api.customers.search({"query": "created>0", "limit": 2, "expand": ["total_count"]})
    assert (len(first.data), first.has_more, first.total_count) == (2, True, 3)
    last = stripe_api.customers.search({"query": "created>0", "limit": 2, "page": first.next_page})
    assert ([one.name for one in last], last.has_more, last.next_page) == (["Ann O'Hara"], False, None)
    assert len(list(stripe_api.customers.search({"query": "created>0", "limit": 1}).auto_paging_iter())) == 3


def test_other_things_are_found_too(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """Each by fields of its own; objects inside can be expanded."""
    subscription = paying_customer(sandbox, metadata={"seat": "7"})
    price = monthly(stripe_api, lookup_key="premium", name="Premium")
    query = {"query": "status:'active' AND metadata['seat']:'7'", "expand": ["data.customer"]}
    assert stripe_api.subscriptions.search(query).data[0].customer.email == "carol@example.com"
    paid = stripe_api.invoices.search({"query": f"subscription:'{subscription.id}' AND total>=500"})
    assert [one.status for one in paid] == ["paid"]
    assert stripe_api.prices.search({"query": "active:'true' AND lookup_key:'premium'"}).data[0].id == price.id
    assert stripe_api.products.search({"query": "name~'prem'"}).data[0].id == price.product
    for service in (stripe_api.charges, stripe_api.payment_intents):
        assert len(service.search({"query": "amount:500 AND status:'succeeded'"}).data) == 1


@pytest.mark.parametrize(
    "query",
    [
        "",
        "nonsense",
        "color:'red'",
        "name:",
        "created:'x'",
        "metadata:'x'",
        "name['x']:'y'",
        "name>'a'",
        "name~'ab'",
        "name:'a' AND name:'b' OR name:'c'",
        "name:'a' name:'b'",
        "name:'a' AND",
    ],
)
def test_bad_queries_are_refused(stripe_api: Any, query: str) -> None:
    """By the parameter's name."""
    error = refused(stripe_api.customers.search, {"query": query})
    assert (error.http_status, error.param) == (400, "query")
    assert refused(stripe_api.customers.search, {"query": "name:'a'", "page": "x"}).param == "page"
