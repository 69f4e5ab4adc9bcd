"""Serves a WSGI app on the loopback over connections that stay open: a client makes hundreds of small requests."""

import os
import socket
from http.client import responses
from typing import Any

from flask import Flask
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server


class Handler(WSGIRequestHandler):
    """Answers in one write. werkzeug's own way closes each connection and waits a little before it does."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def run_wsgi(self) -> None:
        started: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            started[:] = [status, headers]

        environ = self.make_environ()
        answer = self.server.app(environ, start_response)
        try:
            body = b"".join(answer)
        finally:
            if hasattr(answer, "close"):
                answer.close()
        status, headers = started
        if status.startswith("413"):
            self._drain()
        self._send(status, headers, body)

    def _drain(self) -> None:
        """Read what is left of a body that was too long to look at, so that its sender listens to the answer."""
        left = int(self.headers.get("Content-Length") or 0)
        while left > 0 and (read := self.rfile.read(min(left, 65536))):
            left -= len(read)
        self.close_connection = True

    def _send(self, status: str, headers: list[tuple[str, str]], body: bytes) -> None:
        names = {name.lower() for name, _ in headers}
        if "content-length" not in names:
            headers = [*headers, ("Content-Length", str(len(body)))]
        if "date" not in names:
            headers = [*headers, ("Date", self.date_time_string())]
        code = int(status.partition(" ")[0])
        head = f"HTTP/1.1 {code} {responses.get(code, '')}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers) + "\r\n"
        try:
            self.wfile.write(head.encode("latin-1") + (b"" if self.command == "HEAD" else body))
        except OSError:  # the client has gone, or a fault has closed the connection
            self.close_connection = True

    def log(self, type: str, message: str, *args: Any) -> None:
        """The listing of events is what is read here; requests are at /_sandbox/requests."""


def make_sandbox_server(app: Flask, port: int) -> BaseWSGIServer:
    """A server on the loopback that listens already; port 0 takes a free one. Raises OSError when the port is taken."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name != "nt":  # where it would let two sandboxes share the port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen(128)
        number = listening.getsockname()[1]
        server = make_server("127.0.0.1", number, app, threaded=True, request_handler=Handler, fd=listening.fileno())
    finally:
        listening.close()  # the server has a descriptor of its own
    server.daemon_threads = True  # type: ignore[attr-defined]
    return server
