"""A way to the server that breaks: in the middle of a frame, with a reset or without a word, or it stands still."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from asyncio import StreamReader, StreamWriter
from typing import Literal, Self

_CHUNK = 1 << 16
_AT_ONCE = struct.pack("ii", 1, 0)  # to linger for no time: the peer is sent a reset

End = Literal["reset", "end", "stall"]


class CuttingProxy:
    """Leads to the port on this machine; while `cutting`, no connection gets many bytes from there."""

    def __init__(self, port: int, *, seed: int = 0, cutting: bool = True, most: int = 20_000) -> None:
        self.port = port
        self.cutting = cutting
        self.cuts = 0
        self.passing = asyncio.Event()
        self.passing.set()
        self._most = most
        self._choice = random.Random(seed)
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=_CHUNK)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        if self._connections:
            await asyncio.wait(self._connections, timeout=5)

    def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.create_task(self._connect(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _connect(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            async with asyncio.timeout(5):
                there, out = await asyncio.open_connection("127.0.0.1", self.port, limit=_CHUNK)
        except OSError:
            writer.transport.abort()
            return
        way_there = asyncio.create_task(self._lead_there(reader, out))
        way_back = asyncio.create_task(self._lead_back(there, writer))
        ways = way_there, way_back
        end: End = "end"
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            if way_back.done() and way_back.exception() is None:
                end = way_back.result()
            if end == "stall":
                await asyncio.sleep(self._choice.uniform(0.1, 0.5))
        finally:
            for way in ways:
                way.cancel()
            await asyncio.wait(ways, timeout=5)
            for side in (writer, out):
                side.close() if end == "end" else cut(side)

    async def _lead_there(self, reader: StreamReader, writer: StreamWriter) -> None:
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()

    async def _lead_back(self, reader: StreamReader, writer: StreamWriter) -> End:
        allowed = self._choice.randint(1, self._most)
        while chunk := await reader.read(_CHUNK):
            await self.passing.wait()
            if self.cutting and len(chunk) >= allowed:
                writer.write(chunk[:allowed])
                self.cuts += 1
                return self._choice.choice(("reset", "end", "stall"))
            allowed -= len(chunk)
            writer.write(chunk)
            await writer.drain()
        return "end"


def cut(writer: StreamWriter) -> None:
    """End a connection with a reset."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    writer.transport.abort()
