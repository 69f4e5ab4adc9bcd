"""Billing details, another address, a copy of one's data, the portal, and the end of an account."""

import re

import pytest
import sqlalchemy as sa

import auth
import billing
import db
import personal
import portal
from models import Checkout, Customer, Operation, Outbox, TaxId, User
from tests.behind import subscriber
from tests.shop import PASSWORD, pay

ADDRESS = {"line1": "Hauptstraße 1", "city": "Berlin", "postal_code": "10115", "country": "DE"}
VAT = {"type": "eu_vat", "value": "DE123456789"}


@pytest.fixture
def alice(shop):
    """Alice has Premium, paid with Visa 4242."""
    return subscriber(shop)


def at_stripe(shop, alice):
    v1 = shop.sandbox.client.v1
    tax_ids = v1.customers.tax_ids.list(alice.customer).data
    return v1.customers.retrieve(alice.customer), [(one.type, one.value) for one in tax_ids]


# --- billing details


def test_details_reach_stripe_and_the_page(alice, shop):
    """Name, address and tax id."""
    answer = alice.send("/billing-details", name="Ada Ltd", address=ADDRESS, taxId=VAT)

    assert answer.status_code == 200, answer.text
    customer, tax_ids = at_stripe(shop, alice)
    assert (customer.name, customer.address.city, customer.address.country) == ("Ada Ltd", "Berlin", "DE")
    assert tax_ids == [("eu_vat", "DE123456789")]
    page = alice.get("/account/details").text
    assert "Saved. Coming invoices carry these details." in page
    for words in ("Ada Ltd", "Hauptstraße 1", "Berlin", "DE123456789", 'value="DE" selected'):
        assert words in page


def test_what_is_left_out_is_cleared(alice, shop):
    """The form is the whole of it."""
    alice.send("/billing-details", name="Ada Ltd", address=ADDRESS, taxId=VAT)
    alice.send("/billing-details", name="Ada")

    customer, tax_ids = at_stripe(shop, alice)

    assert (customer.name, customer.address, tax_ids) == ("Ada", None, [])
    assert "DE123456789" not in alice.get("/account/details").text


def test_another_tax_id_takes_the_place_of_the_old_one(alice, shop):
    """Saved twice, it is there once."""
    alice.send("/billing-details", taxId=VAT)
    for _ in range(2):
        alice.send("/billing-details", taxId={"type": "gb_vat", "value": "GB123456789"})

    assert at_stripe(shop, alice)[1] == [("gb_vat", "GB123456789")]
    shop.settle()
    assert [row["value"] for row in shop.rows(TaxId) if row["deleted_at"] is None] == ["GB123456789"]


def test_a_tax_id_that_cannot_be_one_changes_nothing(alice, shop):
    """400, naming the field."""
    answer = alice.send("/billing-details", name="Ada", taxId={"type": "eu_vat", "value": "nonsense"})

    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "taxId.value")
    assert at_stripe(shop, alice)[0].name is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": 1}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"address": {"country": "Atlantis"}}, "address.country"),
        ({"address": {"planet": "Mars"}}, "address.planet"),
        ({"taxId": {"type": "eu_vat"}}, "taxId.value"),
        ({"customer": "cus_1"}, "customer"),
    ],
)
def test_odd_details_are_named(alice, body, field):
    """400."""
    answer = alice.send("/billing-details", body)

    assert (answer.status_code, answer.json()["error"]["field"]) == (400, field)


def test_what_changes_elsewhere_shows_here(alice, shop):
    """In the portal, or at the dashboard."""
    v1 = shop.sandbox.client.v1
    v1.customers.update(alice.customer, {"name": "Ada of the portal"})
    v1.customers.tax_ids.create(alice.customer, {"type": "eu_vat", "value": "DE123456789"})
    shop.settle()

    page = alice.get("/account/details").text

    assert "Ada of the portal" in page
    assert "DE123456789" in page


# --- the address


def mails(shop, kind):
    return [row for row in shop.rows(Outbox) if row["kind"] == kind]


@pytest.fixture
def waiting_mail(shop):
    """Mails wait for `flask tick`, as with any mail server."""
    shop.app.config["MAIL_SERVER"] = "mail.example.com"


def change_address(shop, visitor, email="ada@example.org", password=PASSWORD):
    answer = visitor.submit("/change-email", email=email, password=password)
    assert answer.status_code == 200, answer.text
    return answer.text


def link_in(shop):
    (mail,) = mails(shop, "change_email_instructions")
    return re.findall(r"http://\S+", mail["text"])[0].removeprefix(shop.url)


def test_a_new_address_counts_once_it_is_confirmed_and_stripe_is_told(alice, shop, waiting_mail):
    """The link goes to the new address, a word about it to the old one."""
    change_address(shop, alice)
    assert [row["email"] for row in shop.rows(User)] == ["alice@example.com"]
    (mail,) = mails(shop, "change_email_instructions")
    assert mail["recipient"] == "ada@example.org"

    assert alice.get(link_in(shop)).status_code == 200

    assert [row["email"] for row in shop.rows(User)] == ["ada@example.org"]
    assert at_stripe(shop, alice)[0].email == "ada@example.org"
    assert [row["recipient"] for row in mails(shop, "email_changed")] == ["alice@example.com"]
    assert "ada@example.org" in alice.get("/account").text


def test_with_stripe_down_the_address_is_told_by_the_next_tick(alice, shop, waiting_mail):
    """It is noted, not forgotten."""
    change_address(shop, alice)
    shop.sandbox.fault(path="^/v1/customers", status=500, times=50)
    alice.get(link_in(shop))
    shop.sandbox.control("DELETE", "faults")
    assert at_stripe(shop, alice)[0].email == "alice@example.com"

    with shop.app.app_context():
        personal.tell_addresses()

    assert at_stripe(shop, alice)[0].email == "ada@example.org"
    assert "open" not in {row["state"] for row in shop.rows(Operation)}


def test_of_two_addresses_that_stripe_was_not_told_the_last_one_counts(alice, shop, waiting_mail):
    """It was down for both."""
    shop.sandbox.fault(path="^/v1/customers", status=500, times=50)
    for email in ("ada@example.org", "augusta@example.org"):
        change_address(shop, alice, email)
        alice.get(re.findall(r"http://\S+", mails(shop, "change_email_instructions")[-1]["text"])[0][len(shop.url) :])
    shop.sandbox.control("DELETE", "faults")

    with shop.app.app_context():
        personal.tell_addresses()

    assert at_stripe(shop, alice)[0].email == "augusta@example.org"


def test_one_address_that_stripe_refuses_does_not_hold_up_the_next(alice, shop, waiting_mail):
    """Its customer is gone there."""
    bob = subscriber(shop, email="bob@example.com")
    shop.sandbox.post("deliveries", {"mode": "drop"})
    shop.sandbox.fault(path="^/v1/customers", status=500, times=50)
    for visitor, email in ((alice, "ada@example.org"), (bob, "rob@example.org")):
        change_address(shop, visitor, email)
        visitor.get(re.findall(r"http://\S+", mails(shop, "change_email_instructions")[-1]["text"])[0][len(shop.url) :])
    shop.sandbox.control("DELETE", "faults")
    shop.sandbox.client.v1.customers.delete(alice.customer)

    with shop.app.app_context(), pytest.raises(ExceptionGroup):
        personal.tell_addresses()

    assert shop.sandbox.client.v1.customers.retrieve(bob.customer).email == "rob@example.org"
    assert "open" not in {row["state"] for row in shop.rows(Operation)}


def test_of_two_who_confirm_one_address_at_once_one_gets_it(alice, shop, waiting_mail, mocker):
    """The other is told, keeps the old one, and nobody is told otherwise."""
    bob = subscriber(shop, email="bob@example.com")
    links = []
    for visitor in (alice, bob):
        change_address(shop, visitor)
        links.append(re.findall(r"http://\S+", mails(shop, "change_email_instructions")[-1]["text"])[0])
    find = auth.Users.find_user
    looks: list[str] = []

    def find_then_overtake(self, **which):
        found = find(self, **which)
        if which.get("email") == "ada@example.org" and not looks:
            looks.append("bob")
            alice.get(links[0][len(shop.url) :])
        return found

    mocker.patch.object(auth.Users, "find_user", find_then_overtake)
    answer = bob.get(links[1][len(shop.url) :])

    assert answer.status_code == 200
    assert "This link does not work" in answer.text
    assert {row["email"] for row in shop.rows(User)} == {"ada@example.org", "bob@example.com"}
    assert [row["recipient"] for row in mails(shop, "email_changed")] == ["alice@example.com"]
    assert shop.sandbox.client.v1.customers.retrieve(bob.customer).email == "bob@example.com"


def test_a_link_that_was_used_says_so(alice, shop, waiting_mail):
    """Opened twice."""
    change_address(shop, alice)
    link = link_in(shop)
    alice.get(link)

    assert "This link does not work, or not any more." in alice.get(link).text


def test_without_the_password_no_address_is_changed(alice, shop, waiting_mail):
    """A browser that was left open is not enough."""
    assert "This is not your password." in change_address(shop, alice, password="guessed it")
    assert mails(shop, "change_email_instructions") == []


def test_an_address_that_is_taken_looks_as_one_that_is_not(alice, shop, waiting_mail):
    """And gets no mail."""
    shop.member("bob@example.com")

    taken = change_address(shop, alice, "bob@example.com")

    assert "bob@example.com" in taken
    assert "already" not in taken
    assert mails(shop, "change_email_instructions") == []


# --- a copy of one's data


def test_the_copy_holds_all_tables_and_no_secret(alice, shop):
    """Nobody else's rows, nothing that signs in."""
    subscriber(shop, "basic_monthly", "bob@example.com")
    alice.send("/billing-details", name="Ada", taxId=VAT)

    answer = alice.get("/account/export")

    assert "attachment" in answer.headers["Content-Disposition"]
    found = answer.json()
    assert [row["email"] for row in found["users"]] == ["alice@example.com"]
    assert [row["id"] for row in found["subscriptions"]] == [alice.subscription]
    assert [row["last4"] for row in found["payment_methods"]] == ["4242"]
    assert [row["value"] for row in found["tax_ids"]] == ["DE123456789"]
    for table in ("customers", "subscription_items", "invoices", "checkouts", "operations", "webhook_events", "outbox"):
        assert found[table], table
    assert "bob@example.com" not in answer.text
    assert "argon2" not in answer.text
    assert "fs_uniquifier" not in answer.text


def test_every_table_is_in_the_copy_or_about_nobody(alice):
    """A new table has to decide."""
    about_nobody = {"products", "prices", "stripe_account", "sync_runs"}

    tables = {mapper.class_.__tablename__ for mapper in db.Base.registry.mappers}

    assert set(alice.get("/account/export").json()) == tables - about_nobody


# --- the end


def delete(visitor, password=PASSWORD):
    return visitor.send("/delete-account", password=password)


def test_deleting_ends_what_runs_and_forgets_the_person(alice, shop):
    """Here and at Stripe; invoices stay."""
    alice.send("/billing-details", name="Ada", address=ADDRESS, taxId=VAT)
    page = alice.get("/account/delete").text
    assert "Premium ends at once" in page
    assert "Invoices and payments are kept" in page

    assert delete(alice).json() == {"status": "deleted"}

    v1 = shop.sandbox.client.v1
    assert v1.subscriptions.retrieve(alice.subscription).status == "canceled"
    assert v1.customers.retrieve(alice.customer).deleted
    shop.settle()
    (user,) = shop.rows(User)
    assert (user["active"], user["password"], "alice" in user["email"]) == (False, None, False)
    (customer,) = shop.rows(Customer)
    assert (customer["name"], customer["address"], customer["email"]) == (None, None, None)
    assert customer["deleted_at"]
    assert "DE123456789" not in str(shop.rows(TaxId))
    assert "Ada" not in str(shop.rows(Operation))


def test_of_the_deleted_no_address_and_no_word_stays(alice, shop, waiting_mail):
    """Not the one before the last, nor why they had cancelled."""
    own = {"subscriptionId": alice.subscription}
    alice.send("/cancel-subscription", **own, atPeriodEnd=True, comment="My boss pays for another")
    change_address(shop, alice)
    alice.get(link_in(shop))
    assert {"email_changed", "welcome"} <= {row["kind"] for row in alice.get("/account/export").json()["outbox"]}
    delete(alice)
    shop.settle()

    assert shop.rows(Checkout) == []
    kept = [str(shop.rows(model)) for model in (User, Customer, Operation)]
    assert "alice@example.com" not in str([row for row in shop.rows(Outbox) if row["kind"] != "account_deleted"])
    assert not [word for word in ("alice@", "ada@", "My boss") if word in str(kept)]


def test_what_ends_in_another_tab_meanwhile_keeps_nothing_alive(alice, shop, mocker):
    """Stripe knows no subscription any more that was there a moment ago: the customer goes all the same."""
    list_all = billing.subscriptions_of

    def then_end(customer_id):
        pages = list(list_all(customer_id))
        shop.sandbox.client.v1.subscriptions.cancel(alice.subscription)
        return pages

    mocker.patch.object(billing, "subscriptions_of", side_effect=then_end)

    assert delete(alice).json() == {"status": "deleted"}

    assert shop.sandbox.client.v1.customers.retrieve(alice.customer).deleted


def test_an_order_that_is_paid_while_the_account_is_deleted_is_given_back(shop, mocker):
    """Nothing is given for it."""
    bob = shop.member("bob@example.com")
    attempt = bob.subscribe()
    list_all = billing.subscriptions_of

    def then_pay(customer_id):
        pages = list(list_all(customer_id))
        pay(shop.sandbox, attempt["clientSecret"])
        return pages

    mocker.patch.object(billing, "subscriptions_of", side_effect=then_pay)

    assert delete(bob).json() == {"status": "deleted"}

    (charge,) = shop.sandbox.client.v1.charges.list().data
    assert charge.amount_refunded == charge.amount


def test_whoever_is_deleted_is_signed_out_everywhere_and_may_come_again(alice, shop):
    """As somebody new."""
    elsewhere = shop.visitor()
    elsewhere.submit("/login", email="alice@example.com", password=PASSWORD)
    assert elsewhere.get("/account").url.endswith("/account")
    delete(alice)

    for visitor in (alice, elsewhere):
        assert "/login" in visitor.get("/account").url
    again = shop.member("alice@example.com")
    assert "No subscription" in again.get("/account").text


def test_the_wrong_password_deletes_nothing(alice, shop):
    """400, naming the field."""
    answer = delete(alice, "guessed it")

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "wrong_password")
    assert alice.may_see("premium")


def test_staff_do_not_delete_themselves_by_accident(alice, shop):
    """Whoever runs the shop ends that first."""
    with shop.app.app_context(), db.write() as tx:
        tx.execute(sa.update(User).values(is_staff=True))

    answer = delete(alice)

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "is_staff")
    assert alice.may_see("premium")


def test_with_stripe_down_in_the_middle_it_is_safe_to_press_again(alice, shop):
    """What was cancelled stays so; the account is there until all is done."""
    shop.sandbox.fault(method="DELETE", path="^/v1/customers/", status=500, times=9)
    assert delete(alice).status_code == 503
    assert [row["email"] for row in shop.rows(User)] == ["alice@example.com"]
    shop.sandbox.control("DELETE", "faults")

    assert delete(alice).json() == {"status": "deleted"}


def test_who_never_bought_anything_is_deleted_without_asking_stripe(shop):
    """There is no customer."""
    bob = shop.member("bob@example.com")

    assert delete(bob).json() == {"status": "deleted"}
    assert shop.rows(Customer) == []


# --- invoices


def test_invoices_are_paged(alice, shop):
    """Twelve to a page."""
    for _ in range(13):
        shop.sandbox.advance(days=31)
    shop.settle()

    first, second = alice.get("/account/invoices").text, alice.get("/account/invoices?page=2").text

    assert "-0014" in first
    assert "-0001" not in first
    assert "Older" in first
    assert "-0001" in second
    assert "Newer" in second
    for odd in ("0", "-1", "x", "99999999999999999999"):
        assert alice.get(f"/account/invoices?page={odd}").status_code == 200
    assert "All invoices" in alice.get("/account").text


# --- the portal


def test_the_portal_opens_with_plan_changes_off(alice, shop):
    """They would go past the quote."""
    answer = alice.send("/create-portal-session").json()

    assert answer["url"].startswith("http")
    (session,) = shop.calls("POST", "/v1/billing_portal/sessions")
    configuration = shop.sandbox.client.v1.billing_portal.configurations.retrieve(session["params"]["configuration"])
    assert session["params"]["customer"] == alice.customer
    assert configuration.features.subscription_update.enabled is False
    assert "email" not in configuration.features.customer_update.allowed_updates


def test_the_configuration_is_made_once_and_kept_in_line(shop):
    """`flask catalog sync`, twice."""
    runner = shop.app.test_cli_runner()
    runner.invoke(args=["catalog", "sync"])
    again = runner.invoke(args=["catalog", "sync"])
    (configuration,) = shop.sandbox.client.v1.billing_portal.configurations.list().data
    assert "in line" in again.output

    features = {"invoice_history": {"enabled": False}}
    shop.sandbox.client.v1.billing_portal.configurations.update(configuration.id, {"features": features})
    assert "updated portal configuration" in runner.invoke(args=["catalog", "sync"]).output
    with shop.app.app_context():
        assert portal.bring_in_line() is None
