"""A local, stateful stand-in for Stripe: API, webhooks and a clock that can be moved."""

API_VERSION = "2026-10-28.endive"
