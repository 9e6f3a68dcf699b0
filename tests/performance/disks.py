"""S3 disks in a guest, beside s3fs on this host and beside a plain S3 client, all to one endpoint."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from createos_engine.disk_words import Bucket

from tests.host.s3server import OWNER, S3Server
from tests.performance.bench import Bench, Figure, timed
from tests.vm.disks import attach, detach, reach, register
from tests.vm.engine import Box, wait_for

MIB = 2**20
_LARGE_MIB, _SMALL, _LISTED = 200, 1_000, 10_000
_IMAGE, _DISK, _AT = "debian:12", "bench-disk", "/mnt/bench"
_GOAL = "≤ 2 ×"
_WRITE = f"dd if=/dev/zero of={{}}/{{}} bs=1M count={_LARGE_MIB} conv=fsync 2>/dev/null"
_READ = "dd if={}/{} of=/dev/null bs=1M 2>/dev/null"
_FILES = f"mkdir {{0}} && for i in $(seq {_SMALL}); do echo $i >{{0}}/$i; done"
_LIST = f"test $(ls -U {{}}/listed | wc -l) = {_LISTED}"


def measure(bench: Bench) -> list[Figure]:
    """Return times in milliseconds: of large files medians, of many small ones and of the listing one round."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place:
        s3 = S3Server(Path(place))
        try:
            register(bench.engine, s3, _DISK)
            box = bench.box(_IMAGE)
            mounted = median(_mounted_ms(box) for _ in range(bench.rounds))
            attach(box, _DISK, _AT)
            reach(box, _AT, "mounted")
            with _on_host(s3.bucket(_DISK), Path(place)) as host:
                figures = _compared(bench.rounds, box, host, s3)
            detach(box, _DISK, _AT)
            bench.engine.call("DELETE", f"/v1/disks/{_DISK}")
        finally:
            s3.close()
    return [Figure("attach → mounted", mounted, "goal", 2000.0, "≤ 1 ×"), *figures]


def _mounted_ms(box: Box) -> float:
    def mount() -> None:
        attach(box, _DISK, _AT)
        reach(box, _AT, "mounted")

    took = timed(mount)
    detach(box, _DISK, _AT)
    return took


@contextmanager
def _on_host(bucket: Bucket, place: Path) -> Iterator[Path]:
    """Mount a bucket with Debian's s3fs, as the guest's agent does."""
    keys, at = place / "passwd", place / "mnt"
    keys.touch(mode=0o600)
    keys.write_text(f"{OWNER.access_key}:{OWNER.secret_key}\n")
    at.mkdir()
    options = f"passwd_file={keys},url={bucket.endpoint},use_path_request_style,sigv4,stat_cache_expire=5"
    with subprocess.Popen(["s3fs", bucket.bucket, at, "-f", "-o", options]) as running:
        wait_for(at.is_mount, 60, "s3fs on the host")
        try:
            yield at
        finally:
            subprocess.run(["umount", at], check=True)
            running.wait(60)


def _compared(rounds: int, box: Box, host: Path, s3: S3Server) -> list[Figure]:
    client, body = s3.client(), bytes(_LARGE_MIB * MIB)
    s3.put(_DISK, "large", body)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: client.put_object(Bucket=_DISK, Key=f"listed/{number}"), range(_LISTED)))

    def guest(line: str) -> float:
        return timed(lambda: box.exec("/bin/sh", "-c", line, timeout_ms=600_000))

    def here(line: str) -> float:
        return timed(lambda: subprocess.run(["sh", "-c", line], check=True))

    written = median(guest(_WRITE.format(_AT, f"guest-{n}")) for n in range(rounds))
    written_here = median(here(_WRITE.format(host, f"host-{n}")) for n in range(rounds))
    written_raw = median(timed(lambda: s3.put(_DISK, "raw", body)) for _ in range(rounds))
    # Each reads what the other wrote: none has it in a cache.
    read = median(guest(_READ.format(_AT, f"host-{n}")) for n in range(rounds))
    read_here = median(here(_READ.format(host, f"guest-{n}")) for n in range(rounds))
    read_raw = median(timed(lambda: s3.get(_DISK, "raw")) for _ in range(rounds))
    files, files_here = guest(_FILES.format(f"{_AT}/guest")), here(_FILES.format(host / "host"))
    listed, listed_here = guest(_LIST.format(_AT)), here(_LIST.format(host))
    return [
        Figure(f"write {_LARGE_MIB} MiB", written, "s3fs on the host", written_here, _GOAL),
        Figure(f"write {_LARGE_MIB} MiB", written, "a plain S3 client", written_raw, ""),
        Figure(f"read {_LARGE_MIB} MiB", read, "s3fs on the host", read_here, _GOAL),
        Figure(f"read {_LARGE_MIB} MiB", read, "a plain S3 client", read_raw, ""),
        Figure(f"{_SMALL} small files", files, "s3fs on the host", files_here, _GOAL),
        Figure(f"list {_LISTED} keys", listed, "s3fs on the host", listed_here, _GOAL),
    ]
