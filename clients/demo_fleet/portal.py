"""The websites the robots work on: slow, sometimes out of order, on a local port of their own."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from urllib.parse import parse_qs, urlsplit

from clients.demo_fleet import paperwork
from clients.demo_fleet.paperwork import strikes

STUCK_SECONDS = 6.0


class Portal(ThreadingHTTPServer):
    """Serves invoices, statements, catalogues and forms, and takes what robots send back."""

    daemon_threads = True

    def __init__(self, *, slowness: float = 1.0, overload: float = 0.15) -> None:
        self.slowness = slowness
        self.overload = overload
        self.draw = Random()
        super().__init__(("127.0.0.1", 0), _Counter)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    @contextmanager
    def open(self) -> Iterator[Portal]:
        """Serve from a thread for the time of the block."""
        thread = threading.Thread(target=self.serve_forever, name="portal", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.shutdown()
            self.server_close()
            thread.join(timeout=2)


class _Counter(BaseHTTPRequestHandler):
    """One visitor at the counter."""

    server: Portal
    timeout = 10.0

    def do_GET(self) -> None:
        """Hand out a document."""
        self._dawdle()
        url = urlsplit(self.path)
        section, _, name = url.path.strip("/").partition("/")
        match section:
            case "inbox":
                first = int(name) * 10
                self._answer(200, [first + n for n in range(3 + int(name) % 4)])
            case "invoices":
                self._answer(200, paperwork.invoice(int(name)))
            case "ledger" | "bank":
                self._answer(200, paperwork.bookings(section, int(name)))
            case "shops":
                page = int(parse_qs(url.query).get("page", ["1"])[0])
                if strikes("stuck_shop", f"{name}/{page}"):
                    time.sleep(STUCK_SECONDS)
                self._answer(200, paperwork.catalogue_page(name, page), "text/html")
            case "applications":
                self._answer(200, paperwork.application(int(name)))
            case "credit" if strikes("bureau_down", name):
                self._answer(500, "the scoring engine is unavailable")
            case "credit":
                self._answer(200, {"score": 300 + int(name) % 550})
            case "sanctions":
                self._answer(200, paperwork.sanctioned_names())
            case "figures":
                self._answer(200, paperwork.figures(int(name)))
            case _:
                self._answer(404, "no such page")

    def do_POST(self) -> None:
        """Take a document in, unless there is too much to do just now."""
        received = len(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
        self._dawdle()
        section, _, name = self.path.strip("/").partition("/")
        if self.server.draw.random() < self.server.overload:
            self._answer(503, "overloaded, try again")
        elif section == "reports" and strikes("rejected_report", name):
            self._answer(500, "the archive could not store the report")
        else:
            self._answer(201, {"received": received, "receipt": f"{section}-{self.server.draw.randrange(10**6):06d}"})

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the fleet's output is for what happens to robots."""

    def _dawdle(self) -> None:
        time.sleep(self.server.draw.uniform(0.4, 2.0) * self.server.slowness)

    def _answer(self, status: int, body: object, kind: str = "text/plain") -> None:
        if not isinstance(body, str):
            body, kind = json.dumps(body), "application/json"
        content = body.encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the visitor ran out of patience: its own error, told on its side
