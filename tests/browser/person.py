"""What a person does in the shop, in words: register, choose a plan, type a card, pay."""

from __future__ import annotations

from playwright.sync_api import FrameLocator, Page, expect

from tests.shop import PASSWORD

GOOD, POOR, CHALLENGED = "4242424242424242", "4000000000009995", "4000002500003155"
ELEMENT = 'iframe[title="Secure payment input frame"]'


class Person:
    """Somebody with a browser, at the shop."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url

    def open(self, path: str) -> Person:
        self.page.goto(self.url + path)
        return self

    def register(self, email: str = "alice@example.com") -> Person:
        self.open("/register")
        self.page.get_by_label("E-mail", exact=False).first.fill(email)
        self.page.locator("input[name=password]").fill(PASSWORD)
        confirm = self.page.locator("input[name=password_confirm]")
        if confirm.count():
            confirm.fill(PASSWORD)
        self.page.locator("main form button:not([type=button])").click()
        expect(self.page.get_by_role("button", name="Log out")).to_be_visible()
        return self

    def choose(self, plan: str) -> Person:
        """From the plans to the payment form."""
        self.open("/")
        self.page.get_by_role("link", name=f"Choose {plan}").click()
        return self.wait_for_form()

    def wait_for_form(self) -> Person:
        expect(self.button).to_be_enabled()
        expect(self.field("number")).to_be_visible()
        return self

    @property
    def element(self) -> FrameLocator:
        return self.page.frame_locator(ELEMENT).first

    def field(self, name: str):
        return self.element.locator(f'[name="{name}"]')

    @property
    def button(self):
        return self.page.locator("#payment-form #submit")

    @property
    def message(self):
        return self.page.locator("#payment-message")

    def type_card(self, number: str = GOOD, expiry: str = "1240", cvc: str = "123") -> Person:
        self.field("number").fill(number)
        self.field("expiry").fill(expiry)
        self.field("cvc").fill(cvc)
        self.field("country").select_option("US")
        self.field("postalCode").fill("12345")
        return self

    def pay(self, number: str = GOOD) -> Person:
        self.type_card(number)
        self.button.click()
        return self

    def challenge(self, answer: str) -> Person:
        """Answer the bank's page: "Complete" or "Fail"."""
        page = self.page.frame_locator('iframe[src*="/3ds/challenge"]')
        page.get_by_role("button", name=answer, exact=True).click()
        return self

    def sees_welcome(self) -> None:
        self.page.wait_for_url("**/complete**")
        expect(self.page.get_by_role("heading", name="You’re in")).to_be_visible()
