"""Whose turn it is, where many threads take events.

Python runs one thread at a time. Of many that want it, one loses it to another with each call into SQLite, and waking
them costs more than what they are woken for. So they go one after the other, and whoever waits for something that is
not Python's (the disk, the network) lets the next one go on meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING

from werkzeug.wsgi import get_content_length

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_turn = threading.Lock()  # one for the process, as is Python's own
_mine = threading.local()


class InTurn:
    """WSGI: the requests to one path go one after the other, each when its body is there."""

    def __init__(self, wsgi_app: WSGIApplication, path: str, limit: int) -> None:
        """`limit` is the length of a body, in bytes, that we wait for: a longer one is refused unread."""
        self.wsgi_app, self.path, self.limit = wsgi_app, path, limit

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        length = get_content_length(environ) if environ.get("PATH_INFO") == self.path else None
        if length is None or length > self.limit:
            return self.wsgi_app(environ, start_response)
        environ["wsgi.input"] = BytesIO(environ["wsgi.input"].read(length))
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
    _mine.taken = False
    _turn.release()
    try:
        yield
    finally:
        _turn.acquire()
        _mine.taken = True
