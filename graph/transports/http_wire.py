"""How HTTP comes and goes: uvicorn's protocol, hardened against peers that do not get to the point, or do not read.

uvicorn waits for ever for a request to come whole, and for an answer to be read. Here who begins a request has to get
to the point, and who has an answer has to take some of it every ten seconds, however little.
"""

from __future__ import annotations

import sys
from asyncio import TimerHandle, Transport
from http import HTTPStatus
from typing import Any, cast

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from graph.operating.exchanges import new_id
from graph.transports.outbox import WRITE_DEADLINE, Traffic

if sys.platform == "linux":
    import fcntl
    import termios

_PARTING = 2.0  # seconds to read what is left
_HEAD_DEADLINE = 8.0  # seconds for a request to come to its body
_LONGEST_HEAD = 1 << 16  # bytes
_LONGEST_URL = 1 << 15  # bytes; longer documents are sent by POST
_HEADER_COST = 32  # bytes that a header counts beside its own


class HeadRefused(Exception):
    """The beginning of a request that is too long, or does not come."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


class HttpWire(HttpToolsProtocol):
    """An HTTP connection of uvicorn that applications can abort, and whose endless answers end with the server.

    What comes before a body is bounded in length and in time. Of what leaves, something has to be read in time; streams
    see to their readers themselves.
    """

    _answering: RequestResponseCycle | None = None
    _deadline: TimerHandle | None = None
    _look: TimerHandle | None = None  # at how much a client has read, where it is behind
    _refused: HeadRefused | None = None
    _head = 0  # bytes of the request's beginning, as far as it has come
    _unparsed = 0  # bytes that came since it began
    _leaving = False  # whether the server stops
    _begun = False  # whether anything of a request has come
    _over = False  # whether a request has come whole: what comes now is the beginning of the next one
    _beginning = True  # whether what comes before a body is still to come

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Wait for a request, but not for ever."""
        super().connection_made(transport)
        self._be_impatient()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is left to wait for."""
        if self._answering is not None:  # uvicorn tells the request that came last, which may still wait for its turn
            self._answering.disconnected = not self._answering.response_complete
            self._answering.message_event.set()
        super().connection_lost(exc)
        self._be_patient()
        self._look_no_more()

    def data_received(self, data: bytes) -> None:
        """Parse what comes, unless the connection is at its end or the beginning of a request has none."""
        if self._refused is not None:
            return
        if self._over:  # even where it is an empty line, of which the parser says nothing
            self._over, self._beginning, self._begun, self._unparsed = False, True, False, 0
        self._unparsed += len(data)
        super().data_received(data)
        if self._beginning:
            self._be_impatient()
            if self._unparsed > _LONGEST_HEAD:  # a single header may go on for ever before the parser tells of it
                self._refuse(HeadRefused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE))

    def on_message_begin(self) -> None:
        """Tell the application, in the scope; it sets `endless` where its answer is."""
        super().on_message_begin()
        self._head, self._unparsed = 0, 0
        self._begun, self._beginning, self._over = True, True, False
        cast(dict[str, Any], self.scope)["extensions"] = {"wire": {"abort": self.transport.abort, "endless": False}}

    def on_url(self, url: bytes) -> None:
        """Take a piece of the URL."""
        super().on_url(url)
        if len(self.url) > _LONGEST_URL:
            self._refused = HeadRefused(HTTPStatus.REQUEST_URI_TOO_LONG)
            raise self._refused

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        super().on_header(name, value)
        self._head += len(name) + len(value) + _HEADER_COST
        if self._head > _LONGEST_HEAD:
            self._refused = HeadRefused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            raise self._refused

    def on_headers_complete(self) -> None:
        """The request has come to the point."""
        self._be_patient()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request has come whole."""
        super().on_message_complete()
        self._over = True

    def send_400_response(self, msg: str) -> None:
        """Say what is wrong with a request that cannot be parsed, or with its beginning."""
        self._refuse(self._refused or HeadRefused(HTTPStatus.BAD_REQUEST))

    def on_response_complete(self) -> None:
        """The answer is written; what the kernel does not take at once waits for the client."""
        super().on_response_complete()
        if self.transport.get_write_buffer_size():
            self._look_later()

    def pause_writing(self) -> None:
        """The client is behind with an answer that may never be complete unless it reads."""
        super().pause_writing()
        self._look_later()

    def handle_websocket_upgrade(self) -> None:
        """Leave the rest to the protocol of sockets."""
        self._look_no_more()
        super().handle_websocket_upgrade()

    def shutdown(self) -> None:
        """Let answers end by themselves that do so and are read, and end the others."""
        super().shutdown()
        self._leaving = True
        if self._endless:
            self.loop.call_later(_PARTING, self.transport.abort)
            self.transport.close()
        elif self._look is not None:
            self._look_later()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    @property
    def _endless(self) -> bool:
        if self._answering is None or self._answering.response_complete:
            return False
        return bool(cast(dict[str, Any], self._answering.scope)["extensions"]["wire"]["endless"])

    @property
    def _unread(self) -> int:
        """Bytes that the client has not taken; those in the kernel, too, which asks for more only in great lumps."""
        unread = self.transport.get_write_buffer_size()
        if unread and sys.platform == "linux":
            kept = fcntl.ioctl(self.transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
            unread += int.from_bytes(kept, sys.byteorder)
        return unread

    def _look_later(self) -> None:
        """Look how much is read; anew with every answer, so that what is compared has only become less."""
        self._look_no_more()
        self._look = self.loop.call_later(_PARTING if self._leaving else WRITE_DEADLINE, self._look_again, self._unread)

    def _look_again(self, before: int) -> None:
        self._look = None
        unread = self._unread
        if unread == 0 or self._endless:
            return
        if unread != before and not self._leaving:  # what the kernel had on its way looks like reading, for a moment
            self._look_later()
            return
        traffic = cast(Traffic | None, self.app_state.get("traffic"))
        if traffic is not None:
            traffic.aborted += 1
        self.transport.abort()

    def _look_no_more(self) -> None:
        if self._look is not None:
            self._look.cancel()
            self._look = None

    def _time_out(self) -> None:
        cycle = cast(RequestResponseCycle | None, self.cycle)
        if not self._begun and cycle is not None and not cycle.response_complete:
            self._deadline = self.loop.call_later(_HEAD_DEADLINE, self._time_out)  # an answer is still under way
        elif self._begun:
            self._refuse(HeadRefused(HTTPStatus.REQUEST_TIMEOUT))
        else:
            self.transport.close()

    def _refuse(self, refused: HeadRefused) -> None:
        """Answer and hear the client out for a moment: cut off in the middle of a sentence it would not learn why."""
        self._be_patient()
        self._refused = refused
        cycle = cast(RequestResponseCycle | None, self.cycle)
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True  # whoever still works on a request would write after the end
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.abort()
                return
        said = f"{refused}.\n".encode()
        head = (
            f"HTTP/1.1 {refused.status.value} {refused}\r\ncontent-type: text/plain; charset=utf-8\r\n"
            f"content-length: {len(said)}\r\nx-request-id: {new_id()}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + said)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(_PARTING, self.transport.abort)

    def _be_impatient(self) -> None:
        """Set a timer: only for what did not come whole, so for hardly any request."""
        if self._deadline is None:
            self._deadline = self.loop.call_later(_HEAD_DEADLINE, self._time_out)

    def _be_patient(self) -> None:
        self._beginning = False
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
