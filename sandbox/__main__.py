"""python -m sandbox: run the stand-in for Stripe, and reach one that runs."""

import http.client
import json
import re
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

import click

from sandbox import API_VERSION

STATE = "instance/sandbox.db"
URL = "http://127.0.0.1:12111"
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


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
@click.option("--port", default=12111, show_default=True, help="0 takes a free one.")
@click.option("--state", default=STATE, show_default=True, help="The SQLite file that holds the world.")
@click.option("--forward-to", multiple=True, metavar="URL", help="Deliver events here; may be repeated.")
@click.option("--events", default="*", show_default=True, help="Types to forward, with commas between.")
@click.option("--check", is_flag=True, help="Judge all requests and answers by stripe-python's types.")
def serve(port: int, state: str, forward_to: tuple[str, ...], events: str, check: bool) -> None:
    """Serve the API on 127.0.0.1 until Ctrl-C, and print events and their deliveries."""
    from sandbox.server import create_sandbox
    from sandbox.serving import make_sandbox_server

    targets = tuple(url if "://" in url else f"http://{url}" for url in forward_to)
    app = create_sandbox(state, targets, tuple(events.split(",")), check=check, say=say_at)
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
@click.option("--state", default=STATE, show_default=True)
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
@click.option("--url", default=URL, show_default=True)
def advance(time_span: str, url: str) -> None:
    """Move the world's time forward: 31d, 12h, 90m, 1d12h."""
    parts = re.fullmatch(r"(?:\d+[smhd])+", time_span)
    if not parts:
        raise click.UsageError(f"{time_span!r} is not a time span such as 31d or 12h")
    seconds = sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)([smhd])", time_span))
    now = ask(url, "/_sandbox/advance", {"seconds": seconds})["now"]
    say(time.strftime("It is now %d %b %Y %H:%M:%S UTC", time.gmtime(now)))


@cli.group()
def events() -> None:
    """Work with events."""


@events.command()
@click.argument("event_id")
@click.option("--url", default=URL, show_default=True)
def resend(event_id: str, url: str) -> None:
    """Deliver an event once more."""
    for target in ask(url, f"/_sandbox/events/{event_id}/resend", {})["sent_to"]:
        say(f"  --> {event_id} {target}")


@cli.command()
@click.argument("event", required=False)
@click.option("--list", "listing", is_flag=True, help="Print the events that can be triggered.")
@click.option("--url", default=URL, show_default=True)
def trigger(event: str | None, listing: bool, url: str) -> None:
    """Make an event happen, by the API calls that cause it; others happen on the way."""
    from sandbox.trigger import FIXTURES, Refused, Trigger

    if listing:
        say("\n".join(sorted(FIXTURES)))
        return
    if event not in FIXTURES:
        raise click.UsageError(f"{event or 'nothing'} cannot be triggered; `trigger --list` prints what can")
    try:
        Trigger(url, say).fire(event)
    except Refused as problem:
        raise click.ClickException(f"Trigger failed: {problem}") from None
    except OSError as problem:
        raise click.ClickException(f"no sandbox answers at {url}: {problem.strerror or problem}") from None
    say("Trigger succeeded! Check the sandbox's page for event details.")


def ask(url: str, path: str, body: dict[str, Any]) -> Any:
    """Put a question to the sandbox that runs at url. Raises ClickException when it can't or won't answer."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = json.loads(response.read())
    except OSError as problem:
        raise click.ClickException(f"no sandbox answers at {url}: {problem.strerror or problem}") from None
    finally:
        connection.close()
    if response.status != 200:
        raise click.ClickException(answer["error"])
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
