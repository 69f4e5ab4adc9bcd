"""The page at / and what is below it, for whoever develops a shop."""

from sandbox.page import forms, views
from sandbox.page.views import page

__all__ = ["forms", "page", "views"]
