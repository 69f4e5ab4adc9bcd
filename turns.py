"""Whose turn it is, where many threads take events.

Python runs one thread at a time. Of many that want it, one loses it to another with each call into SQLite, and waking
them costs more than what they are woken for. So they go one after the other, and whoever waits for something that is
not Python's (the disk, the network) lets the next one go on meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_turn = threading.Lock()  # one for the process, as is Python's own
_mine = threading.local()


class InTurn:
    """WSGI: the requests to one path go one after the other."""

    def __init__(self, wsgi_app: WSGIApplication, path: str) -> None:
        self.wsgi_app, self.path = wsgi_app, path

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != self.path:
            return self.wsgi_app(environ, start_response)
        with _turn:
            _mine.taken = True
            try:
                return self.wsgi_app(environ, start_response)
            finally:
                _mine.taken = False


@contextmanager
def given_up() -> Iterator[None]:
    """Let others go on while this thread waits; who has no turn just waits."""
    if not getattr(_mine, "taken", False):
        yield
        return
    _turn.release()
    try:
        yield
    finally:
        _turn.acquire()
