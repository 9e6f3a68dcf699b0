"""What a real server does to the relay: wrong keys, standing still, ending, TLS; and s3fs as the client of it all."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from createos_engine.disk_words import Bucket, Keys

from tests.host.s3relay import BUCKET, FOLDER, MIB, RelayPort, code_of, get, noise, own_network, put, relayed, until
from tests.host.s3server import OWNER, READER, S3Server
from tests.host.webserver import WebServer

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def bucket(s3: S3Server) -> Bucket:
    return s3.bucket(BUCKET)


@pytest.fixture
def port(bucket: Bucket) -> Iterator[RelayPort]:
    with relayed(bucket, lambda: OWNER, FOLDER) as port:
        yield port


@pytest.fixture
def client(port: RelayPort) -> Any:
    return port.client()


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (Keys("AKIDNOBODY", OWNER.secret_key), "does not know the access key"),
        (Keys(OWNER.access_key, "no-such-secret"), "secret key does not belong"),
        (READER, "may not use this bucket"),
    ],
)
def test_keys_that_do_not_work_are_told_and_new_ones_are_used_at_once(bucket: Bucket, keys: Keys, words: str) -> None:
    using = [keys]
    with relayed(bucket, lambda: using[0], FOLDER) as port:
        client = port.client()

        with pytest.raises(ClientError) as caught:
            client.list_objects(Bucket=BUCKET, Prefix="a/b/")
        told = list(port.health)
        using[0] = OWNER
        client.list_objects(Bucket=BUCKET, Prefix="a/b/")

    assert words in told[0]
    assert port.health == [told[0], ""]
    assert all(secret not in str(caught.value.response) for secret in (keys.access_key, keys.secret_key))


def test_bucket_that_is_not_there_is_told(bucket: Bucket) -> None:
    with relayed(replace(bucket, bucket="nowhere"), lambda: OWNER) as port:
        assert code_of(lambda: port.client().list_objects(Bucket="nowhere")) == "NoSuchBucket"

    assert "no such bucket" in port.health[0]


def test_frozen_server_is_an_answer_that_says_so(s3: S3Server, client: Any, port: RelayPort) -> None:
    put(client, "a/b/before", b"text")

    with s3.frozen():
        code = code_of(lambda: get(client, "a/b/before"))

    assert code == "ServiceUnavailable"
    assert "does not answer in time" in port.health[0]
    until(lambda: get(client, "a/b/before") == b"text")
    assert port.health[-1] == ""


def test_dead_server_is_an_answer_and_one_that_is_back_is_used_at_once(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    with own_network():
        first = S3Server(tmp_path / "first")
        with relayed(first.bucket(BUCKET), lambda: OWNER) as port:
            client = port.client()
            put(client, "x", b"text")

            first.close()
            code = code_of(lambda: get(client, "x"))
            second = S3Server(tmp_path / "second")
            second.bucket(BUCKET)
            put(client, "x", b"again")
            second.close()

    assert code == "ServiceUnavailable"
    assert len(port.health) == 2
    assert port.health[-1] == ""


def test_endpoint_with_tls_is_used_when_this_host_trusts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with own_network():
        web = WebServer(tmp_path)
        web.listen("127.0.0.1", 443, tls=True)
        bucket = Bucket("https://127.0.0.1", BUCKET)
        with relayed(bucket, lambda: OWNER) as port:
            code = code_of(lambda: get(port.client(), "x"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "web.pem"))
        with relayed(bucket, lambda: OWNER) as trusting:
            got = get(trusting.client(), "x")
        web.close()

    assert code == "ServiceUnavailable"
    assert "certificate of the endpoint is not trusted (self-signed certificate)" in port.health[0]
    assert got == b"127.0.0.1 /photos/x 0\n"
    assert trusting.health == []


@contextmanager
def mounted(port: RelayPort, tmp_path: Path, folder: str) -> Iterator[Path]:
    """Mount a folder of the bucket with s3fs as a guest does."""
    passwords, at = tmp_path / "passwd", tmp_path / "disk"
    passwords.write_text("made-up:made-up")
    passwords.chmod(0o600)
    at.mkdir()
    options = f"url={port.url},use_path_request_style,passwd_file={passwords},retries=1,sigv2,notsup_compat_dir"
    argv = ["s3fs", f"{BUCKET}:/{folder}", str(at), "-f", "-o", options]
    with (tmp_path / "s3fs.log").open("wb") as log:
        s3fs = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        until(lambda: at.is_mount() or s3fs.poll() is not None)
        assert at.is_mount(), (tmp_path / "s3fs.log").read_text()
        yield at
    finally:
        subprocess.run(["umount", "--lazy", at], check=False, capture_output=True)
        s3fs.terminate()
        s3fs.wait(60)


def test_folder_is_used_as_a_file_system(port: RelayPort, s3: S3Server, tmp_path: Path) -> None:
    s3.put(BUCKET, "a/b/from-outside/file", b"seen")

    with mounted(port, tmp_path, FOLDER) as disk:
        (disk / "made").mkdir()
        (disk / "made" / "small").write_bytes(b"text")
        (disk / "made" / "large").write_bytes(noise(24 * MIB))
        (disk / "made" / "small").rename(disk / "made" / "renamed ü")
        with (disk / "made" / "renamed ü").open("ab") as file:
            file.write(b" and more")
        (disk / "from-outside").chmod(0o711)
        (disk / "from-outside").rename(disk / "moved")
        (disk / "gone").write_bytes(b"x")
        (disk / "gone").unlink()

        assert (disk / "moved" / "file").read_bytes() == b"seen"
        assert sorted(path.name for path in (disk / "made").iterdir()) == ["large", "renamed ü"]

    assert s3.get(BUCKET, "a/b/made/renamed ü") == b"text and more"
    assert s3.get(BUCKET, "a/b/made/large") == noise(24 * MIB)
    assert "a/b/gone" not in s3.keys(BUCKET, "a/b/")


def test_folder_outside_shows_nothing_when_it_is_mounted(port: RelayPort, tmp_path: Path) -> None:
    with mounted(port, tmp_path, "a") as disk:
        with pytest.raises(PermissionError):
            list(disk.iterdir())
        # What may not be looked at is an empty file to s3fs.
        assert (disk / "bc").read_bytes() == b""
