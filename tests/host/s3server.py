"""An S3 server of the internet of tests: SeaweedFS, with two identities and buckets made as they are needed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from createos_engine.disk_words import Bucket, Keys

PORT, REGION = 8333, "us-east-1"
OWNER = Keys("AKIDOWNER", "secret-of-the-owner")
READER = Keys("AKIDREADER", "secret-of-the-reader")
SHARED = "shared"
"""The only bucket that READER may see; it may write to none."""

_READY_DEADLINE_S = 120.0
# The sockets that the server makes under /tmp have the names of its ports: another server on this machine has the same.
_WITH_ITS_OWN_TMP = 'mount --bind . /mnt && mount -t tmpfs tmpfs /tmp && cd /mnt && exec "$@"'
# Each bucket has volumes of its own, of which seven are made at once unless told otherwise.
_FEW_VOLUMES = os.environ | {"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}


class S3Server:
    """`weed server -s3` in the network namespace this thread is in; the log is `weed.log` in *directory*.

    With *tls*, a PEM file of key and certificate, it speaks HTTPS. Ready when the constructor returns; `close` ends it.
    """

    def __init__(self, directory: Path, address: str = "127.0.0.1", *, tls: Path | None = None) -> None:
        self.endpoint = f"{'https' if tls else 'http'}://{address}:{PORT}"
        self._directory, self._address, self._tls = directory, address, tls
        self._log = directory / "weed.log"
        (directory / "data").mkdir()
        (directory / "s3.json").write_text(json.dumps(_identities()))
        if tls:
            (directory / "tls.pem").write_bytes(tls.read_bytes())
        self._start()

    def _start(self) -> None:
        # Hidden from it is what /tmp has, which may be all of the project: it gets its program as an open file.
        weed = os.open(Path(sys.executable).with_name("weed"), os.O_RDONLY)
        argv = [
            "unshare",
            "--mount",
            "sh",
            "-c",
            _WITH_ITS_OWN_TMP,
            "weed",
            f"/proc/self/fd/{weed}",
            *_options(self._address),
        ]
        if self._tls:
            argv += [f"-s3.port.https={PORT}", "-s3.port=8334", "-s3.cert.file=tls.pem", "-s3.key.file=tls.pem"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                argv, cwd=self._directory, stdout=log, stderr=log, pass_fds=(weed,), env=_FEW_VOLUMES
            )
        os.close(weed)
        try:
            self._wait_until_ready()
        except BaseException:
            self.close()
            raise

    def bucket(self, name: str, *, path_style: bool = True) -> Bucket:
        """Return a bucket; it is made unless it is there."""
        client = self.client()
        with suppress(client.exceptions.BucketAlreadyOwnedByYou):
            client.create_bucket(Bucket=name)
        return Bucket(self.endpoint, name, REGION, path_style)

    def put(self, bucket: str, key: str, data: bytes = b"") -> None:
        """Store an object."""
        self.client().put_object(Bucket=bucket, Key=key, Body=data)

    def get(self, bucket: str, key: str) -> bytes:
        """Return what an object holds."""
        data: bytes = self.client().get_object(Bucket=bucket, Key=key)["Body"].read()
        return data

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """Return the names of the objects of a bucket, sorted."""
        found = self.client().list_objects_v2(Bucket=bucket, Prefix=prefix)
        return sorted(each["Key"] for each in found.get("Contents", ()))

    def client(self, keys: Keys = OWNER) -> Any:
        """Return a client of botocore's with these keys, which speaks from the namespace its caller is in."""
        config = Config(
            s3={"addressing_style": "path"}, retries={"max_attempts": 1}, connect_timeout=10, read_timeout=60
        )
        return botocore.session.Session().create_client(
            "s3",
            region_name=REGION,
            endpoint_url=self.endpoint,
            aws_access_key_id=keys.access_key,
            aws_secret_access_key=keys.secret_key,
            verify=str(self._tls) if self._tls else None,
            config=config,
        )

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it stand still for a while: connections to it are taken by the kernel, and never answered."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            self._wait_until_stopped()
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    @contextmanager
    def dead(self) -> Iterator[None]:
        """Have no server for a while: who connects is refused. What was stored is there again afterwards."""
        self.close()
        yield
        self._start()

    def close(self) -> None:
        # Asked to end it takes 15 s, and what it has stored is of no use to anybody.
        self._process.kill()
        self._process.wait()

    def _wait_until_stopped(self) -> None:
        """Wait for every thread: the signal only asks for it."""
        deadline = time.monotonic() + _READY_DEADLINE_S
        while any(
            "State:\tT" not in each.read_text() for each in Path(f"/proc/{self._process.pid}/task").glob("*/status")
        ):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def _wait_until_ready(self) -> None:
        """Wait until an object can be stored: that needs all parts of the server, which start one by one."""
        deadline = time.monotonic() + _READY_DEADLINE_S
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                self.bucket(SHARED)
                self.put(SHARED, "ready", b"yes")
            except (BotoCoreError, ClientError):
                time.sleep(0.1)
            else:
                return self.client().delete_object(Bucket=SHARED, Key="ready")
        raise AssertionError(f"the S3 server did not get ready:\n{self._log.read_text()[-2000:]}")


def _options(address: str) -> list[str]:
    parts = ["-s3", f"-s3.port={PORT}", "-s3.config=s3.json", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    small = ["-master.volumeSizeLimitMB=64", "-volume.max=100"]
    return ["server", "-dir=data", f"-ip={address}", "-master.telemetry=false", *parts, *small]


def _identities() -> dict[str, Any]:
    return {
        "identities": [
            _identity("owner", OWNER, ["Admin"]),
            _identity("reader", READER, [f"Read:{SHARED}", f"List:{SHARED}"]),
        ]
    }


def _identity(name: str, keys: Keys, actions: list[str]) -> dict[str, Any]:
    credentials = [{"accessKey": keys.access_key, "secretKey": keys.secret_key}]
    return {"name": name, "credentials": credentials, "actions": actions}
