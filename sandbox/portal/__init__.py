"""The billing portal's pages, which customers are sent to: GET /p/session/<token> and what is below it."""

from sandbox.portal import changes, pages
from sandbox.portal.visits import portal

__all__ = ["changes", "pages", "portal"]
