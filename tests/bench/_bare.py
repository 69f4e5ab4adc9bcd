"""What the webhook endpoint is measured against: a bare view that checks the signature and commits two statements."""

import json
import os
import sqlite3
import threading
from typing import Any

import stripe
from flask import Flask, request

SUBSCRIPTION = """
INSERT INTO subscriptions (id, customer_id, status, created, currency, cancel_at_period_end, latest_invoice,
                           discounted, version, known_from, known_to)
VALUES (:id, :customer, :status, :created, :currency, :stops, :invoice, 0, 1, :at, :at)
ON CONFLICT (id) DO UPDATE SET status = excluded.status, cancel_at_period_end = excluded.cancel_at_period_end,
    latest_invoice = excluded.latest_invoice, version = version + 1, known_from = excluded.known_from,
    known_to = excluded.known_to
WHERE known_to < excluded.known_to
"""
EVENT = """
INSERT INTO webhook_events (id, type, created, object_id, customer_id, state, attempts, received_at)
VALUES (?, ?, ?, ?, ?, 'done', 1, 0) ON CONFLICT (id) DO NOTHING
"""


def create_app() -> Flask:
    app = Flask(__name__)
    secret, file = os.environ["STRIPE_WEBHOOK_SECRET"], os.environ["DATABASE_URL"].removeprefix("sqlite:///")
    local = threading.local()

    @app.post("/webhook")
    def receive() -> Any:
        body = request.get_data(cache=False)
        stripe.WebhookSignature.verify_header(body.decode(), request.headers["Stripe-Signature"], secret, 300)
        event = json.loads(body)
        found = event["data"]["object"]
        if not hasattr(local, "connection"):
            local.connection = sqlite3.connect(file, timeout=10, isolation_level=None)
            local.connection.execute("PRAGMA synchronous = FULL")
        connection = local.connection
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            SUBSCRIPTION,
            {
                "id": found["id"],
                "customer": found["customer"],
                "status": found["status"],
                "created": found["created"],
                "currency": found["currency"],
                "stops": found["cancel_at_period_end"],
                "invoice": found["latest_invoice"],
                "at": event["created"],
            },
        )
        connection.execute(EVENT, (event["id"], event["type"], event["created"], found["id"], found["customer"]))
        connection.execute("COMMIT")
        return {"status": "done"}

    return app
