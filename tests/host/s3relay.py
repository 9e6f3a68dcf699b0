"""The relay of S3 disks behind a TCP port, as a guest has it behind its loopback address."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from createos_engine.api.duplex import RawConnection
from createos_engine.disk_words import Bucket, Keys
from createos_engine.s3.relay import Relay

from tests.host.netlab import Namespace

MIB = 1024 * 1024
BUCKET, FOLDER = "photos", "a/b"
MADE_UP = Keys("made-up", "made-up-too")
_PATIENCE_S = 120


class RelayPort:
    """A relay in a thread and in the network namespace of whoever made it. `health` is what it said, in order."""

    def __init__(self, bucket: Bucket, keys: Callable[[], Keys], sub_path: str) -> None:
        self.health: list[str] = []
        self._make = lambda: Relay(bucket, keys, sub_path, on_health=self.health.append)
        self._serving: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._port = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(_PATIENCE_S)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def client(self) -> Any:
        """Return a client of S3 that talks to the relay with made-up keys."""
        config = Config(
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            retries={"max_attempts": 0},
            read_timeout=_PATIENCE_S,
        )
        return botocore.session.Session().create_client(
            "s3",
            region_name="us-east-1",
            endpoint_url=self.url,
            aws_access_key_id=MADE_UP.access_key,
            aws_secret_access_key=MADE_UP.secret_key,
            config=config,
        )

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(_PATIENCE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> int:
        self._relay = self._make()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Accepting(self._accept), "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def _accept(self, connection: RawConnection) -> None:
        serving = self._loop.create_task(self._relay.serve(connection))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)

    async def _stop(self) -> None:
        self._server.close()
        for serving in self._serving:
            serving.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await self._relay.close()


class _Accepting(asyncio.Protocol):
    """Hands a new connection over."""

    def __init__(self, accept: Callable[[RawConnection], None]) -> None:
        self._accept = accept

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        connection = RawConnection(transport, set())
        transport.set_protocol(connection)
        self._accept(connection)


@contextmanager
def relayed(bucket: Bucket, keys: Callable[[], Keys], sub_path: str = "") -> Iterator[RelayPort]:
    """Run a relay for a while."""
    port = RelayPort(bucket, keys, sub_path)
    try:
        yield port
    finally:
        port.close()


@contextmanager
def own_network() -> Iterator[None]:
    made = Namespace()
    with made.entered():
        yield
    made.close()


def noise(size: int, seed: int = 7) -> bytes:
    return random.Random(seed).randbytes(size)


def put(client: Any, key: str, data: bytes = b"", **more: Any) -> None:
    client.put_object(Bucket=BUCKET, Key=key, Body=data, **more)


def get(client: Any, key: str, **more: Any) -> bytes:
    data: bytes = client.get_object(Bucket=BUCKET, Key=key, **more)["Body"].read()
    return data


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(ClientError) as caught:
        call()
    return str(caught.value.response["Error"]["Code"])


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
