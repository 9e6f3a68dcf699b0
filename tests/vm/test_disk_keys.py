"""S3 disks whose guest has the keys itself (`disk_keys = "guest"`), under rules that let it reach nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host.forgeries import ALLOWED, ALLOWED_PORT, OTHER, SHARED
from tests.host.s3server import S3Server
from tests.host.webserver import certificate
from tests.vm.disks import attach, detach, reach, register, row_at
from tests.vm.engine import LiveEngine, live_engine, wait_for
from tests.vm.internet import Internet, internet


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Internet]:
    with internet(tmp_path_factory.mktemp("internet")) as made:
        yield made


@pytest.fixture(scope="module")
def s3(outside: Internet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with outside.namespace.entered():
        server = S3Server(tmp_path_factory.mktemp("s3"), SHARED)
    yield server
    server.close()


@pytest.fixture(scope="module")
def keyed(outside: Internet) -> Iterator[LiveEngine]:
    with live_engine(disk_keys="guest") as engine:
        yield engine


def test_the_endpoint_is_let_through_and_nothing_else(keyed: LiveEngine, s3: S3Server, tmp_path: Path) -> None:
    register(keyed, s3, "keyed")
    box = keyed.create(egress=["192.0.2.1"])
    reachable = f"nc -w 5 {SHARED} 8333 </dev/null"
    assert box.exec("/bin/sh", "-c", reachable)["exit_code"] != 0
    attach(box, "keyed", "/mnt/data")
    reach(box, "/mnt/data", "mounted")
    box.sh("echo with keys >/mnt/data/file")

    assert s3.get("keyed", "file") == b"with keys\n"
    assert box.exec("/bin/sh", "-c", f"nc -w 5 {ALLOWED} {ALLOWED_PORT} </dev/null")["exit_code"] != 0
    assert box.view()["egress"] == ["192.0.2.1"]
    box.pause()
    box.resume()
    reach(box, "/mnt/data", "mounted")
    assert box.sh("cat /mnt/data/file") == "with keys\n"
    detach(box, "keyed", "/mnt/data")
    assert row_at(box, "/mnt/data") == {}
    wait_for(lambda: box.exec("/bin/sh", "-c", reachable)["exit_code"] != 0, 20, "the endpoint stays reachable")
    assert box.sh("ls /run/createos/mounts") == ""
    box.destroy()
    keyed.call("DELETE", "/v1/disks/keyed")


def test_an_endpoint_with_a_private_authority_is_trusted_when_this_host_trusts_it(
    outside: Internet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = certificate(tmp_path, OTHER)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with outside.namespace.entered():
        s3 = S3Server(tmp_path, OTHER, tls=pem)
    try:
        with live_engine(disk_keys="guest") as engine:
            register(engine, s3, "private")
            box = engine.create()
            attach(box, "private", "/mnt/data")
            reach(box, "/mnt/data", "mounted")
            box.sh("echo over TLS >/mnt/data/file")
            trusted = box.sh("cat /var/lib/createos/mounts/*/authorities.pem")
    finally:
        stored = s3.get("private", "file")
        s3.close()

    assert stored == b"over TLS\n"
    assert pem.read_text().partition("-----END PRIVATE KEY-----\n")[2] in trusted
    assert "PRIVATE KEY" not in trusted
