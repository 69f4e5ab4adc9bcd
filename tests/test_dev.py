"""What `make run` and `make serve` do: real runs of dev.py in a copy of the tree, on free ports."""

import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import sysconfig
import threading
import time
from pathlib import Path

import dotenv
import pytest

import dev

ROOT = Path(__file__).resolve().parent.parent
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", ".env", "instance", "tests", "docs", ".*_cache", "__pycache__", "node_modules"
)
READY = "The shop is open"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the signals here are POSIX's")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def somebody_listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def cpu_seconds():
    """What the processes that we have waited for, and theirs, have cost."""
    times = os.times()
    return times.children_user + times.children_system


def make_clone(folder):
    """A copy of the tree whose .venv sees the packages of ours, so that nothing needs installing."""
    clone = shutil.copytree(ROOT, folder / "clone", ignore=LEFT_OUT)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", clone / ".venv"], check=True)
    scheme = sysconfig.get_default_scheme()
    theirs = sysconfig.get_path("purelib", scheme, vars={"base": str(clone / ".venv")})
    (Path(theirs) / "ours.pth").write_text(sysconfig.get_path("purelib"))
    digest = hashlib.sha256((clone / "requirements.txt").read_bytes()).hexdigest()
    (clone / ".venv/installed.json").write_text(json.dumps({"requirements.txt": digest}))
    return clone


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return make_clone(tmp_path_factory.mktemp("dev"))


class Run:
    """One run of dev.py, and what it said."""

    def __init__(self, clone, *words, **env):
        self.clone, self.port, self.sandbox_port = clone, free_port(), free_port()
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("STRIPE_", "FLASK_"))}
        ports = {"PORT": str(self.port), "SANDBOX_PORT": str(self.sandbox_port)}
        self.process = subprocess.Popen(
            [sys.executable, "dev.py", *words],
            cwd=clone,
            env={**clean, **ports, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.output = ""
        self.news = threading.Condition()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout or ():
            with self.news:
                self.output += line
                self.news.notify_all()
        with self.news:
            self.news.notify_all()

    def wait_for(self, text, seconds=90):
        with self.news:
            self.news.wait_for(lambda: text in self.output or not self.reader.is_alive(), seconds)
        assert text in self.output, self.output
        return self

    def wait_until_it_listens(self, seconds=30):
        deadline = time.monotonic() + seconds
        while not somebody_listens(self.port) and time.monotonic() < deadline:
            pass
        return self

    def end(self, number=None):
        """Send a signal, if any, and wait until it and all who hold its output are gone. Returns the exit status."""
        if number:
            self.process.send_signal(number)
        code = self.process.wait(timeout=60)
        self.reader.join(timeout=10)
        assert not self.reader.is_alive(), "somebody still holds the output"
        return code

    def ask(self, path):
        connection = http.client.HTTPConnection("localhost", self.port, timeout=5)
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    def left_overs(self):
        """Command lines of processes that still run in the clone."""
        if not Path("/proc").exists():
            return []
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if process.joinpath("cwd").readlink() == self.clone:
                    found.append(process.joinpath("cmdline").read_text().replace("\0", " "))
            except OSError:
                continue
        return found

    def pid_of(self, words):
        for process in Path("/proc").glob("[0-9]*"):
            try:
                command = process.joinpath("cmdline").read_text().split("\0")
                if process.joinpath("cwd").readlink() == self.clone and set(words) <= set(command):
                    return int(process.name)
            except OSError:
                continue
        raise AssertionError(f"no {words} runs")

    def assert_nothing_left(self, grace=0):
        """No process and no listener; after SIGKILL the system takes a moment to clear them away."""
        deadline = time.monotonic() + grace
        while self.remains() and time.monotonic() < deadline:
            pass
        assert self.remains() == []

    def remains(self):
        return self.left_overs() + [port for port in (self.port, self.sandbox_port) if somebody_listens(port)]


@pytest.fixture
def start(clone):
    """Start dev.py in the clone; whatever a test leaves running is ended."""
    runs = []

    def start(*words, **env):
        runs.append(Run(clone, *words, **env))
        return runs[-1]

    yield start
    for run in runs:
        if run.process.poll() is None:
            run.end(signal.SIGTERM)


@pytest.fixture(scope="module")
def first_run(clone):
    """A first run from nothing to an open shop, ended by Ctrl-C."""
    run = Run(clone).wait_for("Ctrl-C")
    run.ready = run.ask("/readyz")
    run.settings = {name: value for name, value in dotenv.dotenv_values(clone / "instance/dev.env").items() if value}
    run.code = run.end(signal.SIGINT)
    return run


def test_first_run_opens_the_shop(first_run):
    """One command leads to a shop that says it is ready, and tells where to click and what to type."""
    assert first_run.ready[0] == 200
    assert f"{READY}: http://localhost:{first_run.port}" in first_run.output
    assert "4242 4242 4242 4242" in first_run.output
    assert re.search(r"started in \d+\.\d s", first_run.output)
    assert "Failed to POST" not in first_run.output


def test_first_run_shows_the_staff_password(first_run):
    """The password of the staff account is shown at the end, by the time one reads it."""
    assert "staff@example.com" in first_run.output.split(READY)[1]


def test_ctrl_c_ends_all_and_frees_the_ports(first_run):
    """After Ctrl-C no process and no listener is left, and the exit status is 0."""
    assert first_run.code == 0
    first_run.assert_nothing_left()


def test_made_settings_are_for_their_owner_alone(first_run):
    """instance/dev.env has random secrets, the sandbox's address, and mode 0600."""
    file = first_run.clone / "instance/dev.env"
    made = first_run.settings

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(made["SECRET_KEY"]) == 64 and made["SECRET_KEY"] != made["SECURITY_PASSWORD_SALT"]
    assert made["STRIPE_API_BASE"] == f"http://localhost:{first_run.sandbox_port}"
    assert made["STRIPE_WEBHOOK_SECRET"].startswith("whsec_")


@pytest.fixture
def untouched_example(clone):
    """A .env that is .env.example as it comes, which must not change anything."""
    file = shutil.copy(clone / ".env.example", clone / ".env")
    yield file
    file.unlink()


def test_second_run_is_quick_and_keeps_the_secrets(first_run, start, untouched_example):
    """A second run is ready within ten seconds; when one child dies all end, with its last words."""
    started, spent = time.monotonic(), cpu_seconds()
    run = start().wait_for("Ctrl-C")
    seconds = time.monotonic() - started
    after = dotenv.dotenv_values(first_run.clone / "instance/dev.env")
    os.kill(run.pid_of(["sandbox"]), signal.SIGKILL)

    assert run.end() == 1
    assert "stripe has ended with -9. Its last lines:" in run.output
    run.assert_nothing_left()
    # On a machine that is busy with other things it takes longer; what must not be is waiting for nothing.
    assert seconds < max(10, 8 * (cpu_seconds() - spent))
    for name in ("SECRET_KEY", "SECURITY_PASSWORD_SALT", "STRIPE_WEBHOOK_SECRET"):
        assert after[name] == first_run.settings[name]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_ended_in_the_middle_of_the_start_leaves_nothing(start, number):
    """Neither a polite nor a rude end during the start leaves a process or a taken port."""
    run = start().wait_for("Ready!")
    code = run.end(number)

    assert code == (-9 if number == signal.SIGKILL else 0)
    run.assert_nothing_left(grace=5 if number == signal.SIGKILL else 0)


def test_ends_when_nobody_reads_its_output(clone):
    """With its output closed, as by `make run | head`, it ends in order."""
    ports = {"PORT": str(free_port()), "SANDBOX_PORT": str(free_port())}
    command = [sys.executable, "dev.py"]
    process = subprocess.Popen(command, cwd=clone, env={**os.environ, **ports}, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout and process.stdout.readline()
        process.stdout.close()

        assert process.wait(timeout=60) == 0
    finally:
        process.terminate()


@pytest.mark.parametrize("name", ["PORT", "SANDBOX_PORT"])
def test_taken_port_is_named_with_a_way_out(start, name):
    """A port that somebody has is named before anything is started, with the setting that picks another."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = start(**{name: str(port)})

        assert run.end() == 1
    assert f"Port {port} is taken" in run.output
    assert f"{name}={port + 1} make run" in run.output
    assert "Ready!" not in run.output


def test_live_key_is_refused(start):
    """Development never runs on a live key."""
    run = start(STRIPE_SECRET_KEY="sk_live_x")

    assert run.end() == 1
    assert "make serve" in run.output
    assert "sk_live_x" not in run.output


@pytest.fixture
def stripe(clone):
    """A Stripe that the keys in .env belong to: the sandbox, started by somebody else. Yields its port."""
    port = free_port()
    command = [
        clone / ".venv/bin/python",
        "-m",
        "sandbox",
        "serve",
        "--port",
        str(port),
        "--state",
        "instance/other.db",
    ]
    process = subprocess.Popen(command, cwd=clone, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert any("Ready!" in line for line in process.stdout or ()), "the sandbox did not start"
    yield port
    process.terminate()
    process.communicate(timeout=10)


@pytest.fixture
def dot_env(clone, stripe):
    """A .env with keys, and its own database."""
    file = clone / ".env"
    file.write_text(
        "STRIPE_SECRET_KEY=sk_test_sandbox\nSTRIPE_PUBLISHABLE_KEY=pk_test_sandbox  # mine\n"
        f"STRIPE_API_BASE=http://localhost:{stripe}\nSTRIPE_JS_URL=http://localhost:{stripe}/endive/stripe.js\n"
        f"DATABASE_URL=sqlite:///{clone}/instance/keys.db\n"
    )
    yield file
    file.unlink()


def stripe_cli(folder, answer):
    """A folder with a `stripe` command that answers like `stripe listen --print-secret`."""
    folder.mkdir()
    folder.joinpath("stripe").write_text(f"#!/bin/sh\n{answer}\n")
    folder.joinpath("stripe").chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def test_keys_start_no_sandbox(start, dot_env, clone, tmp_path):
    """With keys in .env there is no sandbox; the CLI's secret is used and its command told; .env stays as it was."""
    before = dot_env.read_bytes()
    path = stripe_cli(tmp_path / "bin", '[ "$STRIPE_API_KEY" = sk_test_sandbox ] && echo whsec_of_the_cli')
    run = start(PATH=path).wait_for("Ctrl-C")

    assert run.ask("/readyz")[0] == 200
    assert f"stripe listen --latest --forward-to localhost:{run.port}/webhook" in run.output
    assert "Ready!" not in run.output and not somebody_listens(run.sandbox_port)
    assert dot_env.read_bytes() == before
    assert not any(name.startswith("STRIPE_") for name in dotenv.dotenv_values(clone / "instance/dev.env"))


def test_keys_without_webhook_secret_say_so(start, dot_env, tmp_path):
    """Where the CLI cannot tell the secret the shop opens all the same, and what is missing is said."""
    run = start(PATH=stripe_cli(tmp_path / "bin", "exit 1")).wait_for("Ctrl-C")

    assert run.ask("/readyz")[0] == 503
    assert "STRIPE_WEBHOOK_SECRET" in run.output.split(READY)[1]


def test_serve_starts_the_shop_and_its_ticks(start, first_run):
    """`make serve` is the shop and its ticks with the settings as they are, ended together by SIGTERM."""
    run = start("serve", **first_run.settings, WORKERS="2").wait_for("Started worker-1").wait_until_it_listens()
    assert "limits are 2 times as high" in run.output
    run.pid_of(["tick"])

    assert run.ask("/readyz")[0] == 200
    assert run.end(signal.SIGTERM) == 0
    run.assert_nothing_left()


@pytest.mark.parametrize(
    ("env", "says"),
    [({"STRIPE_WEBHOOK_SECRET": ""}, "STRIPE_WEBHOOK_SECRET"), ({"FLASK_DEBUG": "1"}, "FLASK_DEBUG")],
)
def test_serve_refuses(tmp_path, env, says):
    """Production does not start deaf to Stripe, nor in debug mode."""
    shutil.copy(ROOT / "dev.py", tmp_path)
    run = Run(tmp_path, "serve", **{"STRIPE_WEBHOOK_SECRET": "whsec_x", **env})

    assert run.end() == 1
    assert says in run.output


@pytest.mark.parametrize(
    "line",
    [
        "KEY=value",
        "  KEY = value  ",
        "export KEY=value",
        "KEY=value # a comment",
        "KEY=value#no comment",
        'KEY="two words" # a comment',
        "KEY='a # b'",
        "# KEY=value",
        "KEY=",
        "KEY=''",
        "KEY=a=b",
        "KEY",
        "",
    ],
)
def test_env_file_is_read_as_the_app_reads_it(tmp_path, line):
    """What dev.py takes from .env is what python-dotenv takes from it; an empty value counts as not set."""
    file = tmp_path / ".env"
    file.write_text(f"{line}\nOTHER=1\n")

    assert dev.read_env(file) == {name: value for name, value in dotenv.dotenv_values(file).items() if value}


def test_make_alone_lists_every_target():
    """`make` is a menu: each target with what it does; GNU make 3.81 and any shell can run it."""
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert targets == set(re.findall(r"make (\S+)", listed))
    assert "&" not in makefile
