"""What Stripe is asked because of its own events: next to nothing."""

from tests.shop import pay

RENEWALS = 11
PER_EVENT = 0.05


def test_a_year_of_events_needs_hardly_a_question(shop):
    """From the first payment over 11 renewals: at most one question in 20 events, and the tables are Stripe's."""
    attempt = shop.member().subscribe()
    shop.settle()
    shop.sandbox.control("DELETE", "requests")
    before = delivered(shop)

    assert pay(shop.sandbox, attempt["clientSecret"]).status_code == 200
    shop.settle()
    for _ in range(RENEWALS):
        shop.sandbox.advance(days=31)
        shop.sandbox.advance(hours=2)
        shop.settle()

    asked = [f"{one['method']} {one['path']}" for one in shop.sandbox.requests() if one["method"] == "GET"]
    questions = [one for one in asked if not one.startswith("GET /v1/events")]
    events = delivered(shop) - before
    assert events > RENEWALS * 5
    assert len(questions) <= PER_EVENT * events, questions


def delivered(shop):
    """How many deliveries were taken so far."""
    return len(
        [one for one in shop.sandbox.get("deliveries?limit=100000")["deliveries"] if one["state"] == "delivered"]
    )
