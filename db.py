"""The database: two ways in and no third.

`session` reads, and does Flask-Security's own small writes; every statement stands for itself (AUTOCOMMIT).
`write()` is one short transaction, which on SQLite takes the write lock at once: reading first and writing later in one
deferred transaction fails with "database is locked" whatever the time-out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa
from flask import Flask, current_app, g
from flask_alembic import Alembic
from sqlalchemy import orm

import turns

LOCK_TIMEOUT = 10  # seconds that a writer waits for another
# A thread may need three: what it keeps, its session's, its group's. While it waited for one, it would hold the others.
POOL = {"pool_size": 32, "max_overflow": -1}
WAL_PAGES = 4000  # 16 MB of writes before they move to the main file: many rows are written to it less often so
_writing: ContextVar[bool] = ContextVar("writing", default=False)


class Base(orm.DeclarativeBase):
    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class _AppSession(orm.Session):
    """A session on the current app's engine."""

    def get_bind(self, *args: Any, **kwargs: Any) -> sa.Engine:
        return reader()


def _scope() -> int:
    return id(g._get_current_object())


session = orm.scoped_session(orm.sessionmaker(class_=_AppSession, expire_on_commit=False), scopefunc=_scope)


def init_app(app: Flask) -> None:
    """Give the app its engine, its migrations (`flask db ...`) and the end of its sessions."""
    url = sa.make_url(app.config["DATABASE_URL"])
    if url.get_backend_name() == "sqlite" and url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine, reader, migrated = make_engines(url)
    alembic = Alembic(run_mkdir=False, metadatas=Base.metadata, engines=migrated)
    app.config.setdefault("ALEMBIC", {"script_location": str(Path(__file__).parent / "migrations")})
    app.config.setdefault("ALEMBIC_CONTEXT", {"render_as_batch": True, "compare_type": True})
    alembic.init_app(app)
    app.extensions["shop.group"] = Group()
    app.extensions["shop.thread"] = threading.local()
    app.extensions["shop.db"] = (engine, reader, alembic)
    app.teardown_appcontext(release)


def make_engines(url: sa.URL) -> tuple[sa.Engine, sa.Engine, sa.Engine]:
    """To write with, to read with, and to migrate with: one pool, on which a commit survives a power cut."""
    if url.get_backend_name() != "sqlite":
        engine = sa.create_engine(url, pool_pre_ping=True, hide_parameters=True, **POOL)
        return engine, engine.execution_options(isolation_level="AUTOCOMMIT"), engine
    engine = sa.create_engine(
        url,
        connect_args={"timeout": LOCK_TIMEOUT},
        isolation_level="AUTOCOMMIT",  # from the start: as an option it costs two PRAGMAs for each use
        hide_parameters=True,
        **POOL,
    )
    sa.event.listen(engine, "connect", _prepare_sqlite)
    return engine, engine, engine.execution_options(isolation_level="SERIALIZABLE")


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # WAL mode is switched on once, by the first migration: two processes doing it on a fresh file collide.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")


def release(_error: BaseException | None = None) -> None:
    """Give back what this context read and wrote with; it may go on with another."""
    if session.registry.has():
        session.remove()
    g.pop("kept", None)


def _kept(keeper: Any) -> sa.Connection:
    """One connection for all short statements: each way to the pool and back costs more than they do."""
    if not hasattr(keeper, "kept"):
        keeper.kept = _Kept(reader().connect())
    return cast(sa.Connection, keeper.kept.connection)


class _Kept:
    """A connection that goes back to the pool with who keeps it."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection

    def __del__(self) -> None:
        self.connection.close()


def _keeper() -> Any:
    """On SQLite it is the thread that keeps it; elsewhere, where a server may hang up, the context."""
    return current_app.extensions["shop.thread"] if dialect() == "sqlite" else g


def _forget(keeper: Any) -> None:
    """Give the connection back after an error: the pool rolls back what is open, and drops what is broken."""
    vars(keeper).pop("kept", None)


def engine() -> sa.Engine:
    return cast(sa.Engine, current_app.extensions["shop.db"][0])


def reader() -> sa.Engine:
    return cast(sa.Engine, current_app.extensions["shop.db"][1])


def migrations() -> Alembic:
    return cast(Alembic, current_app.extensions["shop.db"][2])


@contextmanager
def write(keeper: Any = None) -> Iterator[sa.Connection]:
    """One short transaction: committed at the end, rolled back on an exception.

    On SQLite by the connection of `keeper`, which by default is this thread.
    """
    assert not _writing.get(), "a write is open already"
    token = _writing.set(True)
    try:
        if engine().dialect.name == "sqlite":
            with _immediate(keeper or _keeper()) as connection:
                yield connection
        else:
            with engine().begin() as connection:
                yield connection
    finally:
        _writing.reset(token)


@contextmanager
def _immediate(keeper: Any) -> Iterator[sa.Connection]:
    connection = _kept(keeper)
    raw = connection.connection
    raw.cursor().execute("BEGIN IMMEDIATE")
    try:
        yield connection
        with turns.given_up():
            raw.commit()
    except BaseException:
        _forget(keeper)
        raise


def writing() -> bool:
    """Whether this thread has a write open; no call to Stripe may be made then."""
    return _writing.get()


def dialect() -> str:
    return engine().dialect.name


def insert(table: type[Base]) -> Any:
    """An INSERT that knows ON CONFLICT, which SQLite and PostgreSQL spell alike."""
    return insert_into(table, dialect())


def insert_into(table: Any, dialect: str) -> Any:
    from sqlalchemy.dialects import postgresql, sqlite

    return (sqlite if dialect == "sqlite" else postgresql).insert(table)


class Prepared:
    """A statement that is compiled once and then given to the driver as it is, for what every delivery executes.

    Going through the engine costs several times what the statement does.
    """

    def __init__(self, make: Callable[[str], Any]) -> None:
        """`make` gives the statement for a dialect; `in_` is not for it, whose text depends on the values."""
        self.make = make
        self.compiled: dict[str, tuple[str, list[str] | None, dict[str, Any], dict[str, Any]]] = {}

    def run(self, tx: sa.Connection, values: dict[str, Any]) -> Any:
        """Execute it; returns the driver's cursor."""
        text, order, fixed, convert = self.compiled.get(tx.dialect.name) or self._compile(tx.dialect)
        given = {**fixed, **values}
        for name, convert_value in convert.items():
            given[name] = convert_value(given[name])
        return tx.connection.cursor().execute(text, [given[name] for name in order] if order else given)

    def _compile(self, dialect: Any) -> Any:
        compiled = self.make(dialect.name).compile(dialect=dialect)
        found = {name: bind.type.dialect_impl(dialect).bind_processor(dialect) for name, bind in compiled.binds.items()}
        convert = {name: processor for name, processor in found.items() if processor}
        order = list(compiled.positiontup) if compiled.positiontup else None
        self.compiled[dialect.name] = str(compiled), order, dict(compiled.params), convert
        return self.compiled[dialect.name]


def is_one_of(column: Any, values: Iterable[Any]) -> Any:
    """`in_`, for a statement that is prepared."""
    return sa.or_(*(column == value for value in values))


class _Share:
    """One piece of a shared commit, and what came of it."""

    def __init__(self, work: Callable[[sa.Connection], Any]) -> None:
        self.work, self.done = work, False
        self.value: Any = None
        self.error: BaseException | None = None
        self.woken = threading.Lock()  # let go when it is done, or when it is its thread's turn to commit
        self.woken.acquire()

    def run(self, tx: sa.Connection) -> None:
        self.value = self.work(tx)


class Group:
    """Threads that wait to commit; whoever's turn it is commits for all of them.

    Each waits for a lock of its own: one that is done never waits for those who come after it. On SQLite they all use
    the group's connection, whose cache holds what the last one read: another's is void after each commit.
    """

    def __init__(self) -> None:
        self.waiting: list[_Share] = []
        self.busy = False
        self.lock = threading.Lock()  # for the two above

    def commit(self, work: Callable[[sa.Connection], Any]) -> Any:
        mine = _Share(work)
        with self.lock:
            self.waiting.append(mine)
            at_once, self.busy = not self.busy, True
        if not at_once:
            with turns.given_up():
                mine.woken.acquire()
        if not mine.done:
            self._take_turn()
        if mine.error is not None:
            raise mine.error
        return mine.value

    def _take_turn(self) -> None:
        """Commit for all who wait, then let the next one do so, and those go who are done."""
        with self.lock:
            shares, self.waiting = self.waiting, []
        try:
            self._commit(shares)
        finally:
            with self.lock:
                next_in_turn = self.waiting[:1]
                self.busy = bool(next_in_turn)
            for share in [*next_in_turn, *shares]:
                share.woken.release()

    def _commit(self, shares: list[_Share]) -> None:
        try:
            self._commit_together(shares)
        except BaseException as error:  # the process is told to end: so is everybody's work
            for share in shares:
                share.error = error
            raise
        finally:
            for share in shares:
                share.done = True

    def _commit_together(self, shares: list[_Share]) -> None:
        begun = False
        try:
            with write(self) as tx:
                begun = True
                for share in shares:
                    share.run(tx)
        except Exception as error:
            for share in shares:
                self._commit_alone(share, None if begun and len(shares) > 1 else error)

    def _commit_alone(self, share: _Share, error: Exception | None) -> None:
        """One failed, and nothing of any is left: each for itself, so that it takes none along."""
        if error is None:
            try:
                with write() as tx:
                    share.run(tx)
            except Exception as own:
                error = own
        share.error = error


def write_together(work: Callable[[sa.Connection], Any]) -> Any:
    """Do `work` in a transaction that it may share with what other threads do; returns after the commit.

    `work` executes statements, and may render a mail: all it needs of a context is the app's. It may run in another
    thread, and twice if another's share failed.
    """
    group: Group = current_app.extensions["shop.group"]
    return group.commit(work)


def find(statement: Prepared, **values: Any) -> Any:
    """The first row, past the session; None where there is none."""
    return statement.run(_kept(_keeper()), values).fetchone()
