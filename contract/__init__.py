"""Stripe's own types, as stripe-python ships them, held against requests and answers."""
