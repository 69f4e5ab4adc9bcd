"""From a fresh clone to an open shop with one command. Standard library only, one file.

python dev.py                   the shop with its stand-in for Stripe, or with the keys in `.env`: what `make run` runs
python dev.py serve             the production server and `flask tick`, with the settings as they are: `make serve`
python dev.py install [FILE]    only `.venv`, with requirements.txt or with FILE
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

if sys.version_info < (3, 11):  # noqa: UP036  (this line is for those who have an older one)
    sys.exit(
        f"The shop needs Python 3.11 or later, this is {sys.version.split()[0]}. Name another: make run PYTHON=..."
    )

ROOT = Path(__file__).resolve().parent
INSTANCE = ROOT / "instance"
DEV_ENV = INSTANCE / "dev.env"
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
THREADS = "16"  # who waits for Stripe waits in one; granian warns of so many, for those that would all compute
FEW_THREADS = str(min(8, 2 * (os.cpu_count() or 1) + 1))  # of which it does not
STAFF = "staff@example.com"
COLOURS = {"shop": 36, "stripe": 35, "tick": 33}

# Ends what we started when we were killed without a chance to do it ourselves: our end of the pipe closes.
# A group that was named twice is over already.
GUARD = """
import os, signal, sys
groups = set()
for line in sys.stdin:
    groups ^= {line}
for group in groups:
    try:
        os.killpg(int(group), signal.SIGKILL)
    except OSError:
        pass
"""


class Problem(Exception):
    """Why we stop, in words for whoever started us."""


class Stopped(Exception):
    """Ctrl-C, SIGTERM or a closed terminal."""


class Child:
    """A process with a group of its own; its output is passed on line by line under its name."""

    def __init__(self, name: str, command: tuple[str, ...], env: dict[str, str], show: str) -> None:
        self.name = name
        self.lines: deque[str] = deque(maxlen=200)
        self.show = show
        pipe = None if show == "as it is" else subprocess.PIPE
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=subprocess.STDOUT if pipe else None,
            text=True,
            encoding="utf-8",
            errors="replace",
            **own_group(),
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.lines.append(line.rstrip())
            if self.show == "named":
                say(f"{coloured(f'{self.name:>6} |', COLOURS.get(self.name, 0))} {line.rstrip()}")

    def alive(self) -> bool:
        return self.process.poll() is None

    def output(self) -> str:
        self.reader.join(timeout=2)
        return "\n".join(self.lines)

    def ask_to_end(self) -> None:
        """Ask the leader alone: granian ends its workers itself, and in order."""
        if sys.platform == "win32":
            self.process.send_signal(signal.CTRL_BREAK_EVENT)
        else:
            self.process.terminate()

    def kill(self) -> None:
        """End the whole group, whoever is left of it."""
        if sys.platform == "win32":
            if self.alive():
                subprocess.run(
                    ["taskkill", "/F", "/T", "/PID", str(self.process.pid)], capture_output=True, check=False
                )
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.reader.join(timeout=2)


class Children:
    """Everything we started. It ends together, and never outlives us."""

    def __init__(self) -> None:
        self.all: list[Child] = []
        self.signals = 0
        self.last_signal = ""
        self.env = child_environment()
        self.guard = None if sys.platform == "win32" else start_guard()
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), self._count_signal)

    def _count_signal(self, number: int, frame: object) -> None:
        # Only counted here and looked at in pause(): nobody can slip away between its start and its entry in our list.
        self.signals += 1
        self.last_signal = signal.Signals(number).name

    def pause(self) -> None:
        """Wait a little. Raises Stopped when we were asked to end."""
        time.sleep(0.03)
        if self.signals:
            raise Stopped(self.last_signal)

    def start(self, name: str, *command: str, show: str = "named") -> Child:
        child = Child(name, command, self.env, show)
        self.all.append(child)
        self.tell_guard(child)
        return child

    def tell_guard(self, child: Child) -> None:
        if self.guard and self.guard.stdin:
            self.guard.stdin.write(f"{child.process.pid}\n".encode())
            self.guard.stdin.flush()

    def run(self, *command: str, show: str = "on failure") -> str:
        """Run to the end and return what it said. Raises Problem with all of it when it fails."""
        child = self.start(command[-1], *command, show=show)
        while child.alive():
            self.pause()
            self.check()
        self.all.remove(child)
        self.tell_guard(child)
        if child.process.returncode:
            words = " ".join(Path(word).name if word == command[0] else word for word in command)
            raise Problem(f"{child.output()}\n`{words}` failed.".lstrip())
        return child.output()

    def check(self) -> None:
        """Raise Problem with the last lines of whichever long-running child has ended."""
        for child in self.all:
            if child.show == "named" and not child.alive():
                last = "\n".join(f"    {line}" for line in child.output().splitlines()[-15:])
                raise Problem(f"{child.name} has ended with {child.process.returncode}. Its last lines:\n{last}")

    def watch(self) -> None:
        """Stay until one of them ends (Problem) or we are asked to (Stopped)."""
        while True:
            self.pause()
            self.check()

    def stop(self, patience: float) -> None:
        """End all: ask, wait for `patience` seconds or another Ctrl-C, then kill."""
        before, deadline = self.signals, time.monotonic() + patience
        for child in self.all:
            if child.alive():
                child.ask_to_end()
        while any(child.alive() for child in self.all) and time.monotonic() < deadline and self.signals == before:
            time.sleep(0.03)
        for child in self.all:
            child.kill()
        if self.guard:
            self.guard.kill()
            self.guard.wait()


def own_group() -> dict[str, Any]:
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"process_group": 0}


def start_guard() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", GUARD], stdin=subprocess.PIPE, **own_group())


def child_environment() -> dict[str, str]:
    """Ours, with output unbuffered and loopback never sent through a proxy."""
    direct = ",".join(filter(None, (os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), "localhost,127.0.0.1")))
    return {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1", "NO_PROXY": direct, "no_proxy": direct}


def say(text: str) -> None:
    """Print at once. When nobody reads us any more (`make run | head`), end as if we were asked to."""
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        signal.raise_signal(signal.SIGTERM)


def coloured(text: str, colour: int) -> str:
    return f"\033[{colour}m{text}\033[0m" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else text


# Settings


def read_env(file: Path) -> dict[str, str]:
    """The KEY=VALUE lines of a file: enough to know ports and keys; the app itself reads it with python-dotenv."""
    found = {}
    for line in file.read_text("utf-8").splitlines() if file.exists() else ():
        match = re.match(r"""\s*(?:export\s+)?(\w+)\s*=\s*(?:"([^"]*)"|'([^']*)'|(.*?))\s*(?:\s#.*|$)""", line)
        if match and (value := match[2] or match[3] or match[4]):
            found[match[1]] = value
    return found


def settings() -> dict[str, str]:
    """As the app sees them: the environment, then `.env`, then what we made."""
    return {**read_env(DEV_ENV), **own_settings()}


def own_settings() -> dict[str, str]:
    """What the user has set."""
    return {**read_env(ROOT / ".env"), **{name: value.strip() for name, value in os.environ.items() if value.strip()}}


def port_setting(name: str, default: str) -> int:
    value = own_settings().get(name, default)
    if not value.isdigit() or not 0 < int(value) < 65536:
        raise Problem(f"{name} must be a port number, not {value!r}.")
    return int(value)


def need_free(name: str, port: int) -> None:
    """Raise Problem if someone has the port."""
    if port_is_taken(port):
        another = f"set {name}={port + 1} && py dev.py" if sys.platform == "win32" else f"{name}={port + 1} make run"
        raise Problem(
            f"Port {port} is taken: another `make run`, perhaps, or another program. Stop it, or use another port:\n"
            f"    {another}"
        )


def port_is_taken(port: int) -> bool:
    try:  # whoever answers on localhost, be it on ::1 or on 127.0.0.1
        socket.create_connection(("localhost", port), timeout=0.3).close()
        return True
    except OSError:
        pass
    with socket.socket() as probe:
        if sys.platform != "win32":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def write_dev_env(port: int, stripe: dict[str, str]) -> None:
    """Keep the secrets that were made once; write the rest anew."""
    kept = read_env(DEV_ENV)
    values = {name: kept.get(name) or secrets.token_hex(32) for name in ("SECRET_KEY", "SECURITY_PASSWORD_SALT")}
    values |= {"BASE_URL": f"http://localhost:{port}"} | stripe
    text = "# Made by `make run` and written anew by it. Your own settings go into .env, which wins.\n"
    text += "".join(f"{name}={value}\n" for name, value in values.items())
    new = DEV_ENV.with_suffix(".new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    new.replace(DEV_ENV)


# Installing


def install(children: Children, file: str = "requirements.txt") -> float:
    """Make `.venv` and install `file`, unless that very file is installed already. Returns the seconds it took."""
    wanted = {name: hashlib.sha256((ROOT / name).read_bytes()).hexdigest() for name in ("requirements.txt", file)}
    stamp = VENV / "installed.json"
    works = PYTHON.exists() and subprocess.run([PYTHON, "-c", ""], capture_output=True, check=False).returncode == 0
    if works and stamp.exists() and wanted.items() <= json.loads(stamp.read_text("utf-8")).items():
        return 0.0
    started = time.monotonic()
    say(f"Installing {file} into .venv (this once, about a minute on a slow line)")
    make_venv(children, clear=not works)
    children.run(
        str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "-r", file, show="as it is"
    )
    stamp.write_text(json.dumps(wanted), "utf-8")
    return time.monotonic() - started


def make_venv(children: Children, clear: bool) -> None:
    try:
        children.run(sys.executable, "-m", "venv", *(["--clear"] if clear else []), str(VENV))
    except Problem as problem:
        raise Problem(f"{problem}\nOn Debian and Ubuntu: apt install python3-venv, then again.") from problem


# Running


def flask(children: Children, *words: str) -> str:
    return children.run(str(PYTHON), "-m", "flask", "--app", "app", *words)


def start_shop(children: Children, host: str, port: int, threads: str, *options: str) -> None:
    children.start(
        "shop",
        *(str(PYTHON), "-m", "granian", "--interface", "wsgi", "--factory", "app:create_app", "--no-ws", "--http", "1"),
        *("--host", host, "--port", str(port), "--blocking-threads", threads, "--no-access-log", *options),
    )


def start_ticks(children: Children) -> None:
    """Do once a minute what nobody waits for."""
    children.start("tick", str(PYTHON), "-m", "flask", "--app", "app", "tick", "--every", "60")


def reload_options() -> list[str]:
    """Whole paths, since a name would also match a folder that the checkout lies in."""
    ignored = [
        word
        for name in ("instance", "tests", "sandbox", "docs", ".ruff_cache")
        for word in ("--reload-ignore-paths", str(ROOT / name))
    ]
    return ["--reload", "--reload-ignore-worker-failure", *ignored]


def start_sandbox(children: Children, port: int, shop_port: int) -> dict[str, str]:
    """Start the stand-in for Stripe and return the settings that lead to it."""
    child = children.start(
        "stripe",
        *(str(PYTHON), "-m", "sandbox", "serve", "--port", str(port), "--state", str(INSTANCE / "sandbox.db")),
        *("--forward-to", f"http://localhost:{shop_port}/webhook"),
    )
    while not (ready := re.search(r"Ready!.*?(whsec_\w+)", "\n".join(child.lines))):
        children.pause()
        children.check()
    return {
        "STRIPE_SECRET_KEY": "sk_test_sandbox",
        "STRIPE_PUBLISHABLE_KEY": "pk_test_sandbox",
        "STRIPE_WEBHOOK_SECRET": ready[1],
        "STRIPE_API_BASE": f"http://localhost:{port}",
        "STRIPE_JS_URL": f"http://localhost:{port}/endive/stripe.js",
    }


def use_listen_secret(children: Children, key: str) -> None:
    """Without a webhook secret in the settings take that of `stripe listen`, where the CLI is installed."""
    cli = shutil.which("stripe")
    if not cli or own_settings().get("STRIPE_WEBHOOK_SECRET"):
        return
    children.env["STRIPE_API_KEY"] = key
    try:
        found = re.search(r"whsec_\w+", children.run(cli, "listen", "--print-secret"))
        children.env["STRIPE_WEBHOOK_SECRET"] = found[0] if found else ""
    except Problem as problem:
        say(str(problem))
    finally:
        del children.env["STRIPE_API_KEY"]


def wait_until_ready(children: Children, port: int) -> list[str]:
    """Wait for the shop. Returns the reasons, if any, why it says that it is not ready for everything."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        children.pause()
        children.check()
        if (reasons := ask_readyz(port)) is not None:
            return reasons
    raise Problem("The shop has not answered on /readyz for a minute.")


def ask_readyz(port: int) -> list[str] | None:
    """What is missing, asked under the name that the shop answers to; None when it is not there yet."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/readyz", headers={"Host": urlsplit(settings()["BASE_URL"]).netloc})
        answer = connection.getresponse()
        body = answer.read()
        return [] if answer.status == 200 else [str(reason) for reason in json.loads(body)["reasons"]]
    except (ValueError, LookupError):
        return [f"/readyz answered {answer.status}"]
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def run(children: Children) -> None:
    """Everything that a developer needs."""
    key = own_settings().get("STRIPE_SECRET_KEY", "")
    if "_live_" in key:
        raise Problem("STRIPE_SECRET_KEY is a live key: `make run` is for development, live keys are for `make serve`.")
    port, sandbox_port = port_setting("PORT", "4242"), port_setting("SANDBOX_PORT", "12111")
    need_free("PORT", port)
    if not key:
        need_free("SANDBOX_PORT", sandbox_port)
    installed = install(children)
    started = time.monotonic()
    INSTANCE.mkdir(exist_ok=True)
    if key:
        write_dev_env(port, {})
        use_listen_secret(children, key)
    else:
        write_dev_env(port, start_sandbox(children, sandbox_port, port))
    flask(children, "db", "upgrade")
    start_shop(children, "127.0.0.1", port, FEW_THREADS, "--workers-kill-timeout", "3s", *reload_options())
    staff = flask(children, "staff", "add", STAFF).splitlines()
    missing = wait_until_ready(children, port)
    flask(children, "catalog", "sync")  # now that somebody hears of new products
    start_ticks(children)
    times = f"started in {time.monotonic() - started:.1f} s"
    if installed:
        times = f"installed in {installed:.0f} s, {times}"
    stripe = [f"http://localhost:{sandbox_port} stands in for it: objects, events, clock"]
    if key:
        stripe = with_keys(port, missing)
    say(welcome(times, stripe, staff, missing))
    children.watch()


def with_keys(port: int, missing: list[str]) -> list[str]:
    """What else to start when Stripe itself is behind the shop."""
    lines = ["its test mode. In another terminal:", f"stripe listen --latest --forward-to localhost:{port}/webhook"]
    if any("STRIPE_WEBHOOK_SECRET" in reason for reason in missing):
        lines.append("Put the whsec_... that it prints into .env as STRIPE_WEBHOOK_SECRET, and start again.")
    return lines


def welcome(times: str, stripe: list[str], staff: list[str], missing: list[str]) -> str:
    """Where to click and what to type."""
    buy = [
        "sign up with any address, choose a plan, pay with",
        "  4242 4242 4242 4242   succeeds",
        "  4000 0025 0000 3155   asks for 3D Secure",
        "  4000 0000 0000 9995   is declined",
        "and any date to come, any CVC, any ZIP code",
    ]
    lines = ["", coloured(f"  The shop is open: {settings()['BASE_URL']}", 1) + f"   ({times})", ""]
    for title, texts in {"Buy": buy, "Stripe": stripe, "Staff": staff, "Missing": missing, "Stop": ["Ctrl-C"]}.items():
        lines += [f"  {title if text is texts[0] else '':<8} {text}" for text in texts]
    return "\n".join([*lines, ""])


def serve(children: Children) -> None:
    """The production server, with `flask tick` beside it."""
    own = settings()
    if own.get("FLASK_DEBUG", "0").lower() not in ("0", "false", "no"):
        raise Problem("FLASK_DEBUG is set: it shows the inside of the shop to its visitors. Unset it.")
    if not own.get("STRIPE_WEBHOOK_SECRET"):
        raise Problem("STRIPE_WEBHOOK_SECRET is not set, and without it the shop never hears of payments.")
    port, host = port_setting("PORT", "4242"), own.get("HOST", "127.0.0.1")
    need_free("PORT", port)
    install(children)
    flask(children, "db", "upgrade")
    workers, threads = own.get("WORKERS", "1"), own.get("THREADS", THREADS)
    if workers != "1" and own.get("RATELIMIT_STORAGE_URI", "memory:").startswith("memory:"):
        say(f"WORKERS={workers}: each counts log-ins for itself, so that limits are {workers} times as high. To count")
        say("together: .venv/bin/pip install redis, and RATELIMIT_STORAGE_URI=redis://...")
    start_shop(
        children, host, port, threads, "--workers", workers, "--respawn-failed-workers", "--workers-kill-timeout", "30s"
    )
    start_ticks(children)
    children.watch()


def main() -> int:
    command, *words = sys.argv[1:] or ["run"]
    commands: dict[str, Callable[..., object]] = {"run": run, "serve": serve, "install": install}
    if command not in commands or len(words) > (command == "install"):
        say(__doc__ or "")
        return 2
    children = Children()
    try:
        commands[command](children, *words)
        return 0
    except Stopped as stopped:
        say(f"Stopping ({stopped}).")
        return 0
    except Problem as problem:
        say(f"\n{problem}")
        return 1
    finally:
        children.stop(patience=35 if command == "serve" else 6)


if __name__ == "__main__":
    sys.exit(main())
