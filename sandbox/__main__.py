"""python -m sandbox: run the stand-in for Stripe, and reach one that runs."""

import http.client
import json
import re
import signal
import sqlite3
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

import click

from sandbox import API_VERSION
from sandbox.events import MODES, ORDERS

STATE = "instance/sandbox.db"
URL = "http://127.0.0.1:12111"
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Address(click.ParamType):
    """Where a sandbox is, as people write it: 127.0.0.1:12111 will do."""

    name = "url"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        found = re.fullmatch(r"(?:http://)?((?:[\w.-]+|\[[\da-f:]+\])(?::\d{1,5})?)/?", value)
        return f"http://{found[1]}" if found else self.fail(f"{value!r} is not an address such as {URL}", param, ctx)


at_url = click.option("--url", default=URL, show_default=True, type=Address(), help="Where the sandbox runs.")


class ServeByDefault(click.Group):
    """`python -m sandbox --port 0` means `python -m sandbox serve --port 0`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ("--help", "-h")):
            args = ["serve", *args]
        return super().parse_args(ctx, args)


@click.group(cls=ServeByDefault, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """A local stand-in for Stripe: API, Stripe.js, webhooks, and a clock that can be moved.

    Without a command it serves. Keys: sk_test_sandbox and pk_test_sandbox.
    """


@cli.command()
@click.option("--port", default=12111, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--state", default=STATE, show_default=True, help="The SQLite file that holds the world.")
@click.option("--forward-to", multiple=True, metavar="URL", help="Deliver events here; may be repeated.")
@click.option("--events", default="*", show_default=True, help="Types to forward, with commas between.")
@click.option("--check", is_flag=True, help="Judge all requests and answers by stripe-python's types.")
def serve(port: int, state: str, forward_to: tuple[str, ...], events: str, check: bool) -> None:
    """Serve the API on 127.0.0.1 until Ctrl-C, and print events and their deliveries."""
    from sandbox.server import create_sandbox
    from sandbox.serving import make_sandbox_server

    targets = tuple(url if "://" in url else f"http://{url}" for url in forward_to)
    try:
        app = create_sandbox(state, targets, tuple(events.split(",")), check=check, say=say_at)
    except (OSError, sqlite3.Error) as problem:
        raise click.ClickException(f"cannot keep its state in {state}: {problem}") from None
    sandbox = app.extensions["sandbox"]
    try:
        server = make_sandbox_server(app, port)
    except OSError as problem:
        sandbox.store.close()
        raise click.ClickException(f"cannot listen on 127.0.0.1:{port}: {problem.strerror}") from None

    def end(number: int, frame: FrameType | None) -> None:
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    sandbox.served_at(f"http://127.0.0.1:{server.port}")
    sandbox.start()
    secret = sandbox.store.setting("signing_secret")
    say(f"> Sandbox at http://127.0.0.1:{server.port}, its state in {state}")
    say(
        f"> Ready! You are using Stripe API Version [{API_VERSION}]. "
        f"Your webhook signing secret is {secret} (^C to quit)"
    )
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    sandbox.stop()


@cli.command()
@click.option("--print-secret", is_flag=True, help="Print the webhook signing secret and exit.")
@click.option("--state", default=STATE, show_default=True, help="The file that holds the world.")
def listen(print_secret: bool, state: str) -> None:
    """Tell the secret that forwarded webhooks are signed with."""
    if not print_secret:
        raise click.UsageError("only --print-secret: `serve --forward-to` does the listening")
    from sandbox.store import Store

    store = Store(Path(state))
    say(store.setting("signing_secret"))
    store.close()


@cli.command()
@click.argument("time_span", metavar="TIME")
@at_url
def advance(time_span: str, url: str) -> None:
    """Move the world's time forward: 31d, 12h, 90m, 1d12h."""
    parts = re.fullmatch(r"(?:\d+[smhd])+", time_span)
    if not parts:
        raise click.UsageError(f"{time_span!r} is not a time span; 31d, 12h, 90m, 10s and 1d12h are")
    seconds = sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)([smhd])", time_span))
    now = ask(url, "/_sandbox/advance", {"seconds": seconds})["now"]
    say(time.strftime("It is now %d %b %Y %H:%M:%S UTC", time.gmtime(now)))


@cli.command()
@click.argument("mode", type=click.Choice(MODES))
@click.option("--types", default="*", show_default=True, help="Only events of these types, with commas between.")
@at_url
def deliveries(mode: str, types: str, url: str) -> None:
    """Disturb the delivery of coming events: hold them back, shuffle, duplicate or drop them.

    `deliver` ends that, and lets go what was held.
    """
    ask(url, "/_sandbox/deliveries", {"mode": mode, "types": types.split(",")})
    say(f"Events of the types {types}: {mode}")
    if mode == "deliver":
        say(f"Of what was held, let go: {ask(url, '/_sandbox/deliveries/flush', {})['released']}")


@cli.group()
def events() -> None:
    """Work with events."""


@events.command()
@click.argument("event_id")
@at_url
def resend(event_id: str, url: str) -> None:
    """Deliver an event once more."""
    for target in ask(url, f"/_sandbox/events/{event_id}/resend", {})["sent_to"]:
        say(f"  --> {event_id} {target}")


@events.command()
@click.option("--since", default="", metavar="EVENT_ID", help="Only those that came after that one.")
@click.option("--order", type=click.Choice(ORDERS), default=ORDERS[0], show_default=True)
@at_url
def replay(since: str, order: str, url: str) -> None:
    """Deliver all events once more, or all since one of them."""
    replayed = ask(url, "/_sandbox/deliveries/replay", {"since": since, "order": order})["replayed"]
    say(f"{replayed} events are delivered once more")


@cli.command()
@click.argument("event", required=False)
@click.option("--list", "listing", is_flag=True, help="Print the events that can be triggered.")
@at_url
def trigger(event: str | None, listing: bool, url: str) -> None:
    """Make an event happen, by the API calls that cause it; others happen on the way."""
    from sandbox.trigger import FIXTURES, Refused, Trigger

    if listing:
        say("\n".join(sorted(FIXTURES)))
        return
    if event not in FIXTURES:
        wrong = f"{event} cannot be triggered" if event else "Missing argument 'EVENT'"
        raise click.UsageError(f"{wrong}; `trigger --list` prints what can be")
    try:
        Trigger(url, say).fire(event)
    except Refused as problem:
        raise click.ClickException(f"Trigger failed: {problem}") from None
    except NO_SANDBOX as problem:
        raise click.ClickException(f"no sandbox answers at {url}: {problem}") from None
    say("Trigger succeeded! Check the sandbox's page for event details.")


# Nobody listens, or somebody who speaks no HTTP or no JSON.
NO_SANDBOX = (OSError, http.client.HTTPException, ValueError, KeyError)


def ask(url: str, path: str, body: dict[str, Any]) -> Any:
    """Put a question to the sandbox that runs at url. Raises ClickException when it can't or won't answer."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = json.loads(response.read())
        refusal = answer["error"] if response.status != 200 else None
    except NO_SANDBOX as problem:
        raise click.ClickException(f"no sandbox answers at {url}: {problem}") from None
    finally:
        connection.close()
    if refusal is not None:
        raise click.ClickException(refusal)
    return answer


def say(line: str) -> None:
    print(line, flush=True)


def say_at(line: str) -> None:
    say(time.strftime("%Y-%m-%d %H:%M:%S ") + line)


if __name__ == "__main__":
    try:
        cli()
    except BrokenPipeError:
        sys.exit(1)
