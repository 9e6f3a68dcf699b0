"""`python3 -m createos_images.in_machine JOB`: one build, as root of a machine that is there for nothing else.

The machine bounds what confined.py bounds on a host: memory, disk, network. Its disks are found by their serial
numbers: the images that a build begins from, and the one that the result is written to.
"""

from __future__ import annotations

import os
import sys
import zipfile
from io import BytesIO
from pathlib import Path

from createos_images import confined
from createos_images.command import run
from createos_images.errors import ImageError
from createos_images.jobs import Job

PLACE = Path("/build")
"""Where the files of a build are in the machine."""

JOB = PLACE / "job"
CODE = PLACE / "createos.zip"
DISKS = PLACE / "disks"
RESULT_DISK = "result"
BASE_DISK = "base-"
"""Serial numbers: what comes out, and with a number behind it what goes in."""

_MODULES = (
    "__init__",
    "cache",
    "command",
    "confined",
    "errors",
    "ext4",
    "failed_step",
    "file_capabilities",
    "in_machine",
    "jobs",
    "progress",
)
_CGROUPS = Path("/sys/fs/cgroup")
_QUICK_S = 120.0


def code() -> bytes:
    """Return the modules that a build needs in its machine, as a zip file for PYTHONPATH."""
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in _MODULES:
            archive.write(Path(__file__).with_name(f"{name}.py"), f"createos_images/{name}.py")
    return packed.getvalue()


def main() -> int:
    """Build what the job file says."""
    return confined.carry_out(Path(sys.argv[1]), _prepare)


def _prepare(job: Job) -> None:
    """Name the disks, and put scratch space and control groups in place."""
    DISKS.mkdir()
    for disk in Path("/sys/block").glob("vd*"):
        if serial := (disk / "serial").read_text().strip():
            (DISKS / serial).symlink_to(f"/dev/{disk.name}")
    if not (DISKS / RESULT_DISK).is_block_device():
        raise ImageError("the machine has no disk for the result", "see the log of createosd")
    job.raw.symlink_to(DISKS / RESULT_DISK)
    scratch = PLACE / "scratch"
    for place in (scratch, confined.SCRATCH):
        place.mkdir(parents=True)
    run("mount", "--bind", scratch, confined.SCRATCH, timeout_s=_QUICK_S)
    os.environ["TMPDIR"] = str(confined.SCRATCH)
    if not (_CGROUPS / "cgroup.controllers").exists():
        run("mount", "-t", "cgroup2", "cgroup2", _CGROUPS, timeout_s=_QUICK_S)


if __name__ == "__main__":
    sys.exit(main())
