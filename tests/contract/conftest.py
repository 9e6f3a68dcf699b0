"""An engine to talk to: a live one when the environment names it, else the API over fakes on real loopback TCP."""

from __future__ import annotations

import asyncio
import os
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import createos
import pytest
from createos_engine.api.app import create_app
from createos_engine.api.server import ApiServer

from tests.fakes.services import KEY, FakeWorld

SHAPE, ROOTFS = "s-1vcpu-256mb", "busybox:1"
EGRESS_RULES = ["example.org:443", "10.0.0.0/8"]


@dataclass(frozen=True)
class Engine:
    """Where an engine answers, and a key it knows."""

    base_url: str
    api_key: str


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The engine of CREATEOS_SANDBOX_URL and CREATEOS_API_KEY, or one over fakes in a thread."""
    url, key = os.environ.get("CREATEOS_SANDBOX_URL"), os.environ.get("CREATEOS_API_KEY")
    if url and key:
        yield Engine(url, key)
        return
    started, stop = threading.Event(), threading.Event()
    urls: list[str] = []
    thread = threading.Thread(
        target=lambda: asyncio.run(_serve(tmp_path_factory.mktemp("run"), urls, started, stop)), name="engine"
    )
    thread.start()
    assert started.wait(60)
    yield Engine(urls[0], KEY)
    stop.set()
    thread.join(60)


@pytest.fixture(scope="session")
def client(engine: Engine) -> Iterator[createos.Client]:
    """The official SDK."""
    with createos.Client(engine.api_key, base_url=engine.base_url, timeout=600) as it:
        yield it


@pytest.fixture(scope="session")
def box(client: createos.Client) -> Iterator[createos.SandboxInstance]:
    """One for all tests, which leave it running under EGRESS_RULES: each more would cost seconds on a real machine."""
    wanted = createos.CreateSandboxRequest(
        shape=SHAPE,
        rootfs=ROOTFS,
        name=f"sdk-{uuid.uuid4().hex[:12]}",
        environment_variables={"COLOUR": "red", "EMPTY": ""},
        egress_rules=EGRESS_RULES,
    )
    sandbox = client.create_sandbox(wanted)
    yield sandbox
    sandbox.destroy()


async def _serve(run_dir: Path, urls: list[str], started: threading.Event, stop: threading.Event) -> None:
    app = create_app(FakeWorld().services)
    server = ApiServer(app, unix_socket=run_dir / "api.sock", socket_group="", host="127.0.0.1", port=0)
    await server.start()
    urls.append(server.url)
    started.set()
    await asyncio.to_thread(stop.wait)
    await server.stop(0)
