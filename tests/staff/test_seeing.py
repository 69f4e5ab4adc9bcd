"""A customer's page, as staff see it."""

import sqlalchemy as sa

import db
from models import Customer, Invoice, Price, StaffAction, SubscriptionSchedule, WebhookEvent
from tests.staff.people import cancel


def test_the_page_tells_what_the_customer_sees_and_why(alice, sam):
    """Plan, price, card, invoices, access product by product."""
    page = sam.get(f"/staff/customers/{alice.id}").text

    for words in ("You act for <strong>alice@example.com</strong>", "as staff@example.com", "Premium", "$15.00",
                  "Visa •••• 4242", "-0001", "Renews on", "“Your subscription is active.”"):  # fmt: skip
        assert words in page
    assert page.count('<span class="badge badge-good">Yes</span>') == 2


def test_the_page_tells_what_stands_on_invoices(alice, sam):
    """Name, address, tax id: what customers ask about most, after the card."""
    address = {"line1": "1 rue de la Paix", "city": "Paris", "postal_code": "75002", "country": "FR"}
    tax_id = {"type": "eu_vat", "value": "FR12345678901"}
    assert alice.send("/billing-details", name="Alice Liddell", address=address, taxId=tax_id).status_code == 200

    page = sam.get(f"/staff/customers/{alice.id}").text

    for words in ("<h1>Alice Liddell</h1>", "1 rue de la Paix, 75002, Paris, FR", "FR12345678901"):
        assert words in page


def test_a_subscription_has_one_form_to_end_it(alice, sam):
    """Each is shown once, the current one too."""
    page = sam.get(f"/staff/customers/{alice.id}").text

    assert page.count(f'action="/staff/customers/{alice.id}/cancel"') == 1


def test_what_happened_in_one_second_stands_in_its_order(alice, sam, shop):
    """Later above earlier, whatever kind it is; of one second what followed stands above what staff did."""
    (customer,) = shop.rows(Customer)
    row = {"type": "invoice.paid", "customer_id": customer["id"], "state": "done", "attempts": 1, "received_at": 1}
    cancel(sam, alice)
    with shop.app.app_context(), db.write() as tx:
        tx.execute(sa.update(WebhookEvent).values(created=1))
        tx.execute(sa.update(StaffAction).values(at=2_000_000_000))
        for at in (1_999_999_999, 2_000_000_000, 2_000_000_001):
            tx.execute(sa.insert(WebhookEvent).values(id=f"evt_{at}", object_id=f"in_{at}", created=at, **row))

    page = sam.get(f"/staff/customers/{alice.id}").text.split('<ol class="history">')[1]

    places = [page.index(words) for words in ("in_2000000001", "in_2000000000", "They asked", "in_1999999999")]
    assert places == sorted(places)


def test_a_planned_change_is_told(alice, sam, shop):
    """Staff see what the customer has arranged."""
    basic = next(row["id"] for row in shop.rows(Price) if row["lookup_key"] == "basic_monthly")
    planned = {"id": "sub_sched_1", "customer_id": shop.rows(Customer)[0]["id"], "subscription_id": alice.subscription}
    planned |= {"status": "active", "changes_at": 1_800_000_000, "changes_to": basic, "known_from": 1, "known_to": 1}
    with shop.app.app_context(), db.write() as tx:
        tx.execute(sa.insert(SubscriptionSchedule).values(planned))

    assert "Changes to Basic on January 15, 2027" in sam.get(f"/staff/customers/{alice.id}").text


def test_why_access_is_lacking_is_told_in_words(alice, sam, shop):
    """Past due, and the time to pay is over."""
    cancel(sam, alice, "now")

    page = sam.get(f"/staff/customers/{alice.id}").text

    assert page.count("“Your subscription has ended.”") == 2
    assert page.count('<span class="badge badge-danger">No</span>') == 2


def test_the_history_tells_events_invoices_and_staff_actions(alice, sam):
    """Newest first, each kind also alone."""
    cancel(sam, alice)

    history = {
        show: sam.get(f"/staff/customers/{alice.id}", params={"show": show}).text
        for show in ("", "events", "invoices", "actions")
    }

    def entries(show):
        return history[show].split('<ol class="history">')[1].split("</ol>")[0]

    assert "<code>invoice.<wbr>paid</code>" in entries("events")
    assert "Invoice " in entries("invoices")
    assert "Cancel at the period’s end" in entries("actions")
    assert "<code>" not in entries("actions").split("<strong>")[1].split("</strong>")[0]
    for words in ("<code>invoice.<wbr>paid</code>", "Invoice ", "Cancel at the period’s end", "They asked by phone."):
        assert words in entries("")


def test_the_history_is_paged(alice, sam, shop):
    """What does not fit is one link away, and nothing is told twice."""
    (customer,) = shop.rows(Customer)
    row = {
        "type": "invoice.paid",
        "created": 1,
        "customer_id": customer["id"],
        "state": "done",
        "attempts": 1,
        "received_at": 1,
    }
    with shop.app.app_context(), db.write() as tx:
        tx.execute(
            sa.insert(WebhookEvent), [{"id": f"evt_old{n:02}", "object_id": f"in_old{n:02}"} | row for n in range(40)]
        )

    seen = []
    for number in (1, 2, 3):
        page = sam.get(f"/staff/customers/{alice.id}", params={"show": "events", "page": number}).text
        seen += [n for n in range(40) if f"in_old{n:02}" in page]

    assert sorted(seen) == list(range(40))


def test_staff_pages_offer_no_card_form_and_no_acting_elsewhere(alice, sam, shop):
    """Each form goes to a staff page, but for the log-out; there is no script and no way to pay."""
    cancel(sam, alice)

    page = sam.get(f"/staff/customers/{alice.id}").text

    targets = [part.split('"')[0] for part in page.split('action="')[1:]]
    assert {target.split("/")[1] for target in targets} == {"logout", "staff"}
    assert "<script" not in page
    assert "<iframe" not in page
    links = [part.split('"')[0] for part in page.split("<main")[1].split("</main>")[0].split('href="')[1:]]
    invoices = {row[name] for row in shop.rows(Invoice) for name in ("hosted_invoice_url", "invoice_pdf")}
    assert [link for link in links if not link.startswith(("/staff/", "#")) and link not in invoices] == []
    assert set(links) & invoices


def test_a_staff_members_own_pages_still_work(sam, alice):
    """They may be customers too."""
    assert [sam.get(path).status_code for path in ("/", "/account", "/members/basic")] == [200, 200, 403]
    assert "Nothing has happened" not in sam.get("/account").text


def test_the_link_to_staff_pages_is_for_staff_only(sam, alice):
    """Nobody else is told that they exist."""
    assert ('href="/staff/customers"' in sam.get("/").text, "/staff" in alice.get("/").text) == (True, False)


def test_reading_calls_stripe_never(alice, sam, shop):
    """All of it from our own tables."""
    shop.sandbox.control("DELETE", "requests")

    for path in ("/staff/customers", f"/staff/customers/{alice.id}", "/staff/events"):
        assert sam.get(path).status_code == 200

    assert shop.sandbox.requests() == []


def test_what_is_written_about_a_customer_is_never_markup(alice, sam, shop):
    """A name, a reason."""
    shop.sandbox.client.v1.customers.update(shop.rows(Customer)[0]["id"], {"name": "<b>Alice</b>"})
    shop.settle()

    page = cancel(sam, alice, reason="<script>alert(1)</script>").text

    assert "&lt;b&gt;Alice&lt;/b&gt;" in page
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
