"""Public URLs with a real guest: what visitors reach, and what they do not."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.vm.engine import Box, LiveEngine, wait_for

RUN = "import sys; from createos_cli.main import run; sys.exit(run())"
SYSTEM_FILE = "/usr/local/share/ca-certificates/createos-local.crt"
PORT, LARGE = 8080, 4 * 2**20
# Without HTTP of its own: `nc` runs this for every connection, and it says what it was asked.
ECHO = r"""#!/bin/sh
head=""; while IFS= read -r line; do line="${line%?}"; [ -z "$line" ] && break; head="$head$line|"; done
printf 'HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n%s' "${#head}" "$head"
"""
SOCKET = r"""#!/bin/sh
while IFS= read -r line; do [ "${#line}" -le 1 ] && break; done
printf 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'; exec cat
"""
EVENTS = r"""#!/bin/sh
while IFS= read -r line; do [ "${#line}" -le 1 ] && break; done
printf 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nAccess-Control-Allow-Origin: *\r\n\r\n'
for n in 1 2 3; do echo "data: $n"; echo; sleep 1; done
"""
# A server that a browser takes for one of WebSockets (RFC 6455 1.3): it greets and echoes nothing.
GREETING = r"""#!/bin/sh
while IFS= read -r line; do line="${line%?}"; [ -z "$line" ] && break
    case "$line" in [Ss]ec-[Ww]eb[Ss]ocket-[Kk]ey:*) key="${line#*: }";; esac
done
accept="$(printf '%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11' "$key" | sha1sum | cut -c1-40 | xxd -r -p | base64)"
printf 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n'
printf 'Sec-WebSocket-Accept: %s\r\n\r\n\201\005hello' "$accept"
exec cat > /dev/null
"""
REPORT = """#!/bin/sh
echo "$QUERY_STRING" > /tmp/report
printf 'Content-Type: text/plain\\r\\n\\r\\nthanks'
"""
PAGE = """<!doctype html><title>site</title><script>
const page = fetch("/index.html").then(answer => answer.text());
const socket = new Promise(done => { new WebSocket("SOCKET").onmessage = event => done(event.data); });
const events = new Promise(done => {
    const heard = [], source = new EventSource("EVENTS");
    source.onmessage = event => { heard.push(event.data); if (heard.length == 3) { source.close(); done(heard); } };
});
Promise.all([page, socket, events]).then(said => fetch("/cgi-bin/report?" + said.join("+").trim()));
</script>"""
BROWSER = (
    *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-port=0"),
)


@pytest.fixture(scope="module")
def site(engine: LiveEngine) -> Iterator[Box]:
    """A sandbox with a public URL and programs behind it."""
    box = engine.create(name="site", ingress_enabled=True)
    box.sh(f"mkdir -p /www; echo hello > /www/index.html; head -c {LARGE} /dev/zero > /www/large")
    box.sh(f"httpd -p 0.0.0.0:{PORT} -h /www; httpd -p 127.0.0.1:9000 -h /www")
    box.exec(
        "/bin/sh", "-c", "mkdir -p /www/cgi-bin; cat > /www/cgi-bin/report; chmod +x /www/cgi-bin/report", stdin=REPORT
    )
    for port, script in ((8081, ECHO), (8082, SOCKET), (8083, EVENTS), (8084, GREETING)):
        box.exec("/bin/sh", "-c", f"cat > /serve{port}; chmod +x /serve{port}", stdin=script)
        box.sh(f"nc -ll -p {port} -e /serve{port} > /dev/null 2>&1 < /dev/null &")
        wait_for(lambda port=port: f":{port} " in box.sh("netstat -ltn"), 10, f"nothing listens on {port}")
    yield box
    box.destroy()


@pytest.fixture(scope="module")
def authority(engine: LiveEngine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate to trust, as the API hands it out."""
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    path.write_text(engine.call("GET", "/v1/ingress")["certificate"])
    return path


def url(box: Box, port: int = PORT) -> str:
    return str(box.view()["ingress_url_template"]).replace("<port>", str(port))


def curl(authority: Path, *argv: str) -> str:
    done = subprocess.run(
        ["curl", "-sS", "-m", "100", "--cacert", str(authority), *argv], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def test_curl_reads_a_page_over_https(site: Box, authority: Path) -> None:
    assert url(site).startswith(f"https://{site.id.removeprefix('sb-')}-{PORT}.sandbox.localhost:")
    assert curl(authority, url(site) + "/") == "hello\n"


def test_curl_without_the_authority_refuses(site: Box) -> None:
    assert "certificate" in curl(Path("/dev/null"), url(site) + "/")


def test_many_requests_go_over_one_connection(site: Box, authority: Path) -> None:
    pages = [word for number in range(3) for word in ("-o", "/dev/null", f"{url(site, 8081)}/{number}")]

    assert curl(authority, "-w", "%{num_connects} ", *pages).split() == ["1", "0", "0"]


def test_the_program_sees_localhost_and_no_credential(site: Box, authority: Path) -> None:
    said = curl(authority, "-H", "Authorization: Bearer secret", url(site, 8081) + "/x?y=z").lower()

    assert "host: localhost:8081|" in said
    assert "x-forwarded-proto: https|" in said
    assert "get /x?y=z http/1.1" in said
    assert "secret" not in said


def test_a_large_body_arrives_whole(site: Box, authority: Path, tmp_path: Path) -> None:
    curl(authority, "-o", str(tmp_path / "large"), url(site) + "/large")

    assert (tmp_path / "large").stat().st_size == LARGE


def test_events_come_one_by_one(site: Box, authority: Path) -> None:
    assert curl(authority, "-N", url(site, 8083) + "/").split() == ["data:", "1", "data:", "2", "data:", "3"]


def test_a_websocket_passes(site: Box, authority: Path) -> None:
    assert asyncio.run(_shout(url(site, 8082), authority)) == (b"HTTP/1.1 101 Switching Protocols", b"ping")


async def _shout(address: str, authority: Path) -> tuple[bytes, bytes]:
    name, _, port = address.removeprefix("https://").partition(":")
    context = ssl.create_default_context(cafile=str(authority))
    reader, writer = await asyncio.open_connection("127.0.0.1", int(port), ssl=context, server_hostname=name)
    writer.write(f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n".encode())
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
    writer.write(b"ping")
    echoed = await asyncio.wait_for(reader.readexactly(4), 60)
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()
    return head.splitlines()[0].strip(), echoed


def test_a_service_on_the_guests_loopback_is_private(site: Box, authority: Path) -> None:
    said = curl(authority, url(site, 9000) + "/")

    assert "nothing listens on port 9000" in said
    assert "0.0.0.0" in said


def test_no_other_sandbox_answers(site: Box, box: Box, authority: Path) -> None:
    other = url(site).replace(site.id.removeprefix("sb-"), box.id.removeprefix("sb-"))
    unknown = url(site).replace(site.id.removeprefix("sb-"), "0" * 26)

    assert "ingress_url_template" not in box.view()
    assert "has no public URL; createos sandbox edit shared --ingress on" in curl(authority, other)
    assert "there is no such sandbox" in curl(authority, unknown)


def test_a_public_url_can_be_taken_away_and_given_back(engine: LiveEngine, site: Box, authority: Path) -> None:
    address = url(site)
    engine.call("PATCH", f"/v1/sandboxes/{site.id}", {"ingress_enabled": False})
    without = site.view(), curl(authority, address)

    engine.call("PATCH", f"/v1/sandboxes/{site.id}", {"ingress_enabled": True})

    assert "ingress_url_template" not in without[0]
    assert "404 Not Found" in without[1]
    assert curl(authority, url(site) + "/") == "hello\n"


def test_plain_http_is_there_too(engine: LiveEngine, site: Box) -> None:
    port = engine.call("GET", "/v1/ingress")["http_port"]
    host = url(site).removeprefix("https://").partition(":")[0]

    with socket.create_connection(("127.0.0.1", port), timeout=60) as visit:
        visit.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: visit.recv(65_536), b""))

    assert answer.endswith(b"hello\n")


def test_a_browser_shows_a_page_hears_events_and_opens_a_websocket(
    engine: LiveEngine, site: Box, authority: Path, tmp_path: Path
) -> None:
    page = PAGE.replace("SOCKET", url(site, 8084).replace("https", "wss") + "/").replace(
        "EVENTS", url(site, 8083) + "/"
    )
    site.exec("/bin/sh", "-c", "cat > /www/page.html", stdin=page)
    store = tmp_path / ".pki" / "nssdb"
    store.mkdir(parents=True)
    database = ("-d", f"sql:{store}")
    subprocess.run(["certutil", "-N", *database, "--empty-password"], check=True)
    subprocess.run(["certutil", "-A", *database, "-n", "createos", "-t", "C,,", "-i", str(authority)], check=True)

    argv = [*BROWSER, f"--user-data-dir={tmp_path}/profile", f"{url(site)}/page.html"]
    log = tmp_path / "browser.log"
    with (
        log.open("wb") as said,
        subprocess.Popen(
            argv, env={**os.environ, "HOME": str(tmp_path)}, stdout=said, stderr=said, start_new_session=True
        ) as browser,
    ):
        try:
            report = wait_for(lambda: site.sh("cat /tmp/report 2>/dev/null || true"), 60, "no report of the browser")
        finally:
            os.killpg(browser.pid, signal.SIGKILL)

    assert report.replace("%0A", "").strip() == "hello+hello+1,2,3", log.read_text(errors="replace")[-2000:]


def test_trust_makes_curl_and_chromium_believe_until_it_is_taken_back(
    engine: LiveEngine, site: Box, tmp_path: Path
) -> None:
    """In a mount namespace of its own: this machine's certificates stay as they are."""
    store = tmp_path / ".pki" / "nssdb"
    store.mkdir(parents=True)
    script = f"""set -e
        createos() {{ {shlex.quote(sys.executable)} -c {shlex.quote(RUN)} "$@" --output table; }}
        mount -t tmpfs none /usr/local/share/ca-certificates
        cp -a /etc/ssl/certs {tmp_path}/certs
        mount --bind {tmp_path}/certs /etc/ssl/certs
        certutil -N -d sql:{store} --empty-password
        createos trust
        curl -sS -m 100 {url(site)}/
        certutil -L -d sql:{store} | grep -c createos-local
        createos trust --remove
        curl -sS -m 100 {url(site)}/ 2>&1 || certutil -L -d sql:{store} | grep -c createos-local || true
    """
    environment = {**engine.environment, "HOME": str(tmp_path)}

    done = subprocess.run(
        ["unshare", "--mount", "bash", "-c", script], env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    wrote, _, added, page, listed, removed, _, gone, complaint, *rest = done.stdout.splitlines()
    assert (wrote, removed) == (f"wrote {SYSTEM_FILE}", f"removed {SYSTEM_FILE}")
    assert (added, gone) == (f"added it to {store}, for Chromium", f"removed it from {store}")
    assert (page, listed, rest[-1]) == ("hello", "1", "0")
    assert "certificate" in complaint


def test_open_prints_the_url_and_hands_it_to_a_browser(engine: LiveEngine, site: Box, tmp_path: Path) -> None:
    opened, browser = tmp_path / "opened", tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    browser.chmod(0o755)

    done = subprocess.run(
        [sys.executable, "-c", RUN, "sandbox", "open", "site", str(PORT), "--output", "table"],
        env={**engine.environment, "BROWSER": f"{browser} %s"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == url(site)
    assert wait_for(opened.exists, 10, "no browser was started")
    assert opened.read_text().strip() == url(site)


def test_a_visit_wakes_a_sandbox_that_idleness_has_paused(engine: LiveEngine, site: Box, authority: Path) -> None:
    site.pause()
    with sqlite3.connect(engine.state / "engine.db", timeout=60) as database:
        database.execute("UPDATE sandboxes SET auto_paused = 1 WHERE id = ?", (site.id,))

    page = curl(authority, url(site))

    assert page == "hello\n"
    assert engine.rows()[site.id] == "running"
