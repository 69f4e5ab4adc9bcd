"""Where Chromium is. `python -m tests.chromium` brings one if there is none.

It comes from the PATH, else from the system's packages (root with apt), else from Playwright's installer.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
HELP = """No Chromium, so the browser tests cannot run. Any one of these brings it:
    apt install chromium                                    (Debian; as root)
    .venv/bin/python -m playwright install chromium         (Playwright's own; needs cdn.playwright.dev)
    put a chromium or google-chrome of yours on the PATH
All tests but those: .venv/bin/python -m pytest -m "not browser"
"""


def find() -> str | None:
    """The path of a Chromium: the system's, else Playwright's own; None when there is neither."""
    on_path = next((path for name in NAMES if (path := shutil.which(name))), None)
    return on_path or playwrights_own()


def playwrights_own() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def install() -> None:
    """Try each way in turn until there is one."""
    attempts = [[[sys.executable, "-m", "playwright", "install", "chromium"]]]
    if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        packages = ["chromium", "fonts-liberation"]
        apt = [["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]]
        attempts.insert(0, apt)
    for commands in attempts:
        print(f"No Chromium here. Trying: {' '.join(commands[-1])}", flush=True)
        if all(subprocess.run(command, check=False).returncode == 0 for command in commands) and find():
            return


if __name__ == "__main__":
    if not find():
        install()
    if not find():
        sys.exit(HELP)
