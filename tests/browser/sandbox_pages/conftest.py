"""A sandbox whose own pages are looked at."""

from collections.abc import Iterator

import pytest

from tests.sandbox_process import SandboxProcess


@pytest.fixture(scope="package")
def sandbox_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with SandboxProcess(tmp_path_factory.mktemp("sandbox") / "sandbox.db", "--check") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(sandbox_process: SandboxProcess) -> Iterator[SandboxProcess]:
    """An empty world; every request and answer of the test must fit Stripe's own types."""
    sandbox_process.reset()
    yield sandbox_process
    assert sandbox_process.violations() == []
