"""A copy of the SQLite database, whole as of one moment, while the shop goes on."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

import db


class NoBackup(Exception):
    """Why there is none, in words."""


def write(file: Path) -> int:
    """Write the database to a new file and return its size in bytes. Raises NoBackup; nothing is left behind then."""
    if db.engine().dialect.name != "sqlite":
        raise NoBackup("the database is PostgreSQL: use `pg_dump --format=custom --file=FILE`.")
    try:
        # It holds addresses and password hashes: only we may read it.
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError as error:
        raise NoBackup(f"{file} exists already: name a new file.") from error
    except OSError as error:
        raise NoBackup(f"{file}: {error.strerror}.") from error
    try:
        with db.reader().connect() as connection:
            connection.exec_driver_sql("VACUUM INTO ?", (str(file),))
        finish(file)
    except BaseException as error:
        file.unlink(missing_ok=True)
        if isinstance(error, sa.exc.DBAPIError | sqlite3.Error | OSError):
            reason = error.orig if isinstance(error, sa.exc.DBAPIError) else error
            raise NoBackup(f"{file}: {reason}. Is there room on the disk?") from error
        raise
    return file.stat().st_size


def finish(file: Path) -> None:
    """Make the copy ready to be put in the database's place, and sure to outlive a power cut."""
    with closing(sqlite3.connect(file)) as connection:
        # A property of the file that VACUUM INTO does not take along; the shop counts on it.
        connection.execute("PRAGMA journal_mode = WAL")
        (state,) = connection.execute("PRAGMA integrity_check").fetchone()
    if state != "ok":
        raise NoBackup(f"the database is damaged: {state}")
    with file.open("rb+") as written:
        os.fsync(written.fileno())
