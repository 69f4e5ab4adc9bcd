"""The sandbox from stripe-python, each in a process of its own: calls a second, memory, and how a big world opens."""

import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sandbox.store import Document, Store
from tests.bench import met
from tests.sandbox.acts import paying_customer
from tests.sandbox_process import SandboxProcess

CLIENTS = 2  # threads of this process
SECONDS = 4.0  # for each measurement
SMALL, BIG, REOPENED = 100, 100_000, 10_000  # customers


def run(_deep: bool) -> Iterator[tuple[str, str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "sandbox.db"
        with SandboxProcess(state) as sandbox:
            yield "memory at start", f"{memory(sandbox):.0f} MB", "at most 80 MB"
            small = rates(sandbox, fill(state, SMALL))
        for name, (rate, aim) in small.items():
            yield f"{name}, {SMALL} customers", f"{rate:.0f}/s", f"at least {aim}/s"
        fill(state, REOPENED)
        started = time.perf_counter()
        with SandboxProcess(state) as sandbox:
            sandbox.client.v1.customers.list({"limit": 1})
            opened = time.perf_counter() - started
            year = year_of_months(sandbox)
        yield f"start with {REOPENED} customers, to the first answer", f"{opened:.2f} s", "at once"
        yield (
            f"a year of a monthly subscription among {REOPENED} customers",
            f"{year:.2f} s",
            met(year < 2, "under 2 s"),
        )
        some = fill(state, BIG)
        with SandboxProcess(state) as sandbox:
            big = rates(sandbox, some)
        for name, (rate, _) in big.items():
            ratio = rate / small[name][0]
            yield f"{name}, {BIG} customers", f"{rate:.0f}/s", f"as fast as with {SMALL} ({ratio:.2f} of it)"


def year_of_months(sandbox: SandboxProcess) -> float:
    """Seconds that twelve renewals take, each with its invoice and its events."""
    subscription = paying_customer(sandbox)
    started = time.perf_counter()
    sandbox.advance(days=366)
    took = time.perf_counter() - started
    paid = sandbox.client.v1.invoices.list({"subscription": subscription.id, "status": "paid", "limit": 100})
    assert len(paid.data) == 13
    return took


def rates(sandbox: SandboxProcess, customers: list[str]) -> dict[str, tuple[float, int]]:
    """Calls a second, and what is wanted of them."""
    api: Any = sandbox.client.v1
    product = api.products.create({"name": "Basic"})
    recurring = {"interval": "month"}
    price = api.prices.create({"product": product.id, "currency": "usd", "unit_amount": 500, "recurring": recurring}).id

    def retrieve(client: Any, number: int) -> None:
        client.v1.customers.retrieve(customers[number % len(customers)])

    def create(client: Any, number: int) -> None:
        params = {"customer": customers[number % len(customers)], "items": [{"price": price}]}
        client.v1.subscriptions.create(params | {"payment_behavior": "default_incomplete"})

    return {
        "customers.retrieve": (rate(sandbox, retrieve), 400),
        "subscriptions.create (default_incomplete)": (rate(sandbox, create), 150),
    }


def rate(sandbox: SandboxProcess, call: Callable[[Any, int], None]) -> float:
    """How often a second clients in several threads get the call done."""
    counts = [0] * CLIENTS
    call(sandbox.make_client(), 0)
    ends = time.perf_counter() + SECONDS

    def work(index: int) -> None:
        client = sandbox.make_client()
        while time.perf_counter() < ends:
            call(client, counts[index] * CLIENTS + index)
            counts[index] += 1

    threads = [threading.Thread(target=work, args=(index,)) for index in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / SECONDS


def fill(state: Path, number: int) -> list[str]:
    """Put so many customers into the world, in the manner of one that was made by API; their ids."""
    with SandboxProcess(state) as sandbox:
        made = sandbox.client.v1.customers.create({"email": "carol@example.com", "name": "Carol"})
    store = Store(state)
    pattern = store.find(made.id, "customer")
    assert pattern
    ids = []
    with store.transaction():
        for index in range(number):
            document = Document(json.loads(json.dumps(pattern)))
            document.update(id=f"cus_{number}x{index:06}", email=f"carol{index}@example.com")
            store.insert(document)
            ids.append(document["id"])
    store.close()
    return ids


def memory(sandbox: SandboxProcess) -> float:
    """Resident megabytes of the process."""
    status = Path(f"/proc/{sandbox.process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024
