"""Private networks and public URLs beside their floors: a plain bridge, and Caddy where it is installed."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter

from tests.performance.bench import Bench, Figure
from tests.vm.engine import Box, LiveEngine, wait_for

MIB = 2**20
SENT_MIB, ROUNDS, REQUESTS, AT_ONCE = 6, 2, 400, 8
_PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def guest_to_guest(engine: LiveEngine, one: Box, two: Box) -> Figure:
    """Send bytes from one guest to another, on our bridge and with the same taps on a plain one."""
    members = engine.call("GET", "/v1/networks/bench")["members"]
    address = next(member["ip"] for member in members if member["sandbox_id"] == two.id)
    two.exec("/bin/sh", "-c", "cat > /sink; chmod +x /sink", stdin="#!/bin/sh\nexec cat > /dev/null\n")
    two.sh("nc -ll -p 7000 -e /sink > /dev/null 2>&1 < /dev/null &")
    ours = median(_sent(one, address) for _ in range(ROUNDS))
    with _on_a_plain_bridge(sorted(name for name in engine.private_links() if f"c{engine.instance}p" in name)):
        plain = median(_sent(one, address) for _ in range(ROUNDS))
    return Figure("guest to guest on a private network", ours, "a plain bridge, same taps", plain, "1.0", "MiB/s")


@contextmanager
def _on_a_plain_bridge(ports: list[str]) -> Iterator[None]:
    """Move taps to a bridge of nobody's, under names that no rule of ours is for, and without their latches."""
    subprocess.run(["ip", "link", "add", "plain", "type", "bridge", "forward_delay", "0"], check=True)
    subprocess.run(["ip", "link", "set", "plain", "up"], check=True)
    for number, port in enumerate(ports):
        _rename(port, f"plain{number}")
        subprocess.run(["tc", "qdisc", "del", "dev", f"plain{number}", "clsact"], check=True)
        subprocess.run(["ip", "link", "set", f"plain{number}", "master", "plain"], check=True)
    try:
        yield
    finally:
        for number, port in enumerate(ports):
            _rename(f"plain{number}", port)
        subprocess.run(["ip", "link", "del", "plain"], check=True)


def _rename(link: str, name: str) -> None:
    subprocess.run(["ip", "link", "set", link, "down"], check=True)
    subprocess.run(["ip", "link", "set", link, "name", name], check=True)
    subprocess.run(["ip", "link", "set", name, "up"], check=True)


def _sent(box: Box, address: str) -> float:
    begun = perf_counter()
    box.sh(f"dd if=/dev/zero bs=64k count={SENT_MIB * 16} 2>/dev/null | nc {address} 7000")
    return SENT_MIB / (perf_counter() - begun)


def boot_cost(engine: LiveEngine) -> Iterator[Figure]:
    """Read from the daemon's log what the network added to each boot: tap and rules, and cards of networks."""
    lines = [json.loads(line) for line in engine.log.read_text().splitlines() if "machine booted" in line]
    link = median(line["network_ms"] for line in lines)
    cards = median(line["networks_ms"] for line in lines if line["networks_ms"] > 1)
    yield Figure("tap, routes and rules in a boot", link, "goal", 50.0, "1.0")
    yield Figure("a network's card in a boot", cards, "tap, routes and rules", link, "")


def public_urls(engine: LiveEngine, box: Box) -> Iterator[Figure]:
    """Ask for a page of a guest, and of a quick program on this host, through ingress and through Caddy."""
    facts = engine.call("GET", "/v1/ingress")
    label = box.id.removeprefix("sb-")
    with ExitStack() as stack:
        guest = f"{box.row['ip']}:8080"
        caddy = stack.enter_context(_caddy(guest)) if shutil.which("caddy") else 0
        box.sh(f"mkdir -p /www; echo ok > /www/index.html; head -c {8 * MIB} /dev/zero > /www/large")
        box.sh("httpd -p 0.0.0.0:8080 -h /www")
        name = f"{label}-8080.{facts['domain']}"
        for what, path, count, unit in (("requests", "/", 60, "1/s"), ("download", "/large", 1, "MiB/s")):
            scale = 1.0 if unit == "1/s" else 8.0
            ours = scale * asyncio.run(_load(facts["https_port"], name, path, count))
            if caddy:
                theirs = scale * asyncio.run(_load(caddy, "bench.localhost", path, count))
                yield Figure(f"public URL of a guest, {what}", ours, "Caddy on the same guest", theirs, "1.0", unit)


def proxies_alone() -> Iterator[Figure]:
    """Measure the proxy itself, with a program behind it that costs nothing: what a quick guest would see."""
    ours, theirs = asyncio.run(_alone())
    if theirs:
        yield Figure("the proxy alone, requests", ours, "Caddy alone", theirs, "1.0", "1/s")


async def _alone() -> tuple[float, float | None]:
    from createos_netconfig.ingress.authority import Authority, Contexts

    from tests.unit.netconfig.ingress.conftest import DOMAIN, Proxy

    async def program(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (await reader.readuntil(b"\r\n\r\n")) if not reader.at_eof() else b"":
            writer.write(_PAGE)

    from createos_netconfig.ingress.listener import Listener

    with tempfile.TemporaryDirectory() as directory:
        proxy = Proxy(Authority(Path(directory), DOMAIN))
        proxy.program = program
        server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
        proxy.program_port = server.sockets[0].getsockname()[1]
        listener = Listener(DOMAIN, proxy.lease, Contexts(proxy.authority))
        port = await listener.open("https", "127.0.0.1", 0)
        ours = await _load(port, proxy.host, "/", REQUESTS * 4)
        theirs = None
        if shutil.which("caddy"):
            with _caddy(f"127.0.0.1:{proxy.program_port}") as caddy:
                theirs = await _load(caddy, "bench.localhost", "/", REQUESTS * 4)
        await listener.close()
        server.close()
        ending = asyncio.all_tasks() - {asyncio.current_task()}
        if ending:
            await asyncio.wait(ending, timeout=5)
    return ours, theirs


async def _load(port: int, name: str, path: str, count: int) -> float:
    """Return requests a second over some connections that stay open."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    begun = perf_counter()
    await asyncio.gather(
        *(_client(port, name, path, -(-count // AT_ONCE), context) for _ in range(min(count, AT_ONCE)))
    )
    return count / (perf_counter() - begun)


async def _client(port: int, name: str, path: str, count: int, context: ssl.SSLContext) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name, limit=MIB)
    for _ in range(count):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await _body(reader, head)
    writer.transport.abort()


async def _body(reader: asyncio.StreamReader, head: bytes) -> None:
    if b"content-length: " in head:
        await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r")[0]))
        return
    while size := int(await reader.readline(), 16):
        await reader.readexactly(size + 2)
    await reader.readline()


@contextmanager
def _caddy(upstream: str) -> Iterator[int]:
    """Run Caddy as the floor: https with a certificate of its own, to the same place."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    with tempfile.TemporaryDirectory() as home:
        file = Path(home, "Caddyfile")
        file.write_text(
            "{\n admin off\n auto_https disable_redirects\n skip_install_trust\n}\n"
            f"https://bench.localhost:{port} {{\n tls internal\n reverse_proxy {upstream}\n}}\n"
        )
        argv = ["caddy", "run", "--config", str(file), "--adapter", "caddyfile"]
        with subprocess.Popen(argv, env={"HOME": home}, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as it:
            try:
                wait_for(lambda: _listens(port), 15, "Caddy does not listen")
                yield port
            finally:
                it.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as knock:
        return knock.connect_ex(("127.0.0.1", port)) == 0


def measure(bench: Bench) -> list[Figure]:
    """Return every figure; two guests are booted for it."""
    engine = bench.engine
    engine.call("POST", "/v1/networks", {"name": "bench"})
    one, two = (engine.create(networks=[{"id": "bench"}], ingress_enabled=True) for _ in range(2))
    return [*proxies_alone(), *boot_cost(engine), *public_urls(engine, one), guest_to_guest(engine, one, two)]
