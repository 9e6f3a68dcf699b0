"""Real builds with buildah: what comes out of each instruction, and what a hostile file cannot reach."""

from __future__ import annotations

import os
import secrets
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from createos_images import cgroups
from createos_images.buildah import control_group
from createos_images.cache import Cache
from createos_images.errors import ImageError

from tests.host.buildlab import BINDS_LOW_PORTS, BuildLab, giving, images, listed, mounted, wait_for

pytestmark = pytest.mark.root

# One of the first version's hierarchies, or the only one of the second.
HIERARCHY = next(path for path in (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup")) if path.is_dir())


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return images(tmp_path_factory.mktemp("images"))


@pytest.fixture
def lab(cache: Cache) -> BuildLab:
    return BuildLab(cache)


def test_set_uid_bits_owners_links_devices_and_holes_survive(lab: BuildLab) -> None:
    long_name = "n" * 200
    base = lab.build(
        "RUN echo x >/tool && chown 33:44 /tool && chmod 4755 /tool && ln /tool /hard",
        "RUN ln -s tool /soft && mkfifo /pipe",
        f"RUN touch /{long_name} && dd if=/dev/zero of=/sparse bs=1 count=0 seek=64M",
    )
    found = listed(base, "/")

    assert found["tool"][1:5] == ["104755", "(1)", "33", "44"]
    assert found["hard"][0] == found["tool"][0]
    assert (found["soft"][1], found["pipe"][1]) == ("120777", "10644")
    assert long_name in found
    assert found["sparse"][5] == str(64 * 2**20)
    assert base.size_bytes < 64 * 2**20


def test_capabilities_and_other_attributes_survive_also_those_of_large_files(lab: BuildLab) -> None:
    given = {"security.capability": BINDS_LOW_PORTS, "user.note": b"kept"}
    base = lab.build(
        "RUN echo x >/small && dd if=/dev/zero of=/large bs=1M count=4",
        f"RUN {giving('/small', given)} && {giving('/large', given)}",
    )
    with mounted(base) as root:
        found = [
            {name: os.getxattr(root / file, name) for name in os.listxattr(root / file)} for file in ("small", "large")
        ]

    assert found == [given, given]


def test_a_failing_step_is_named_with_its_exit_code(lab: BuildLab) -> None:
    with pytest.raises(ImageError) as failed:
        lab.build("RUN echo before", "RUN sh -c 'exit 4'")

    assert failed.value.reason == "the step RUN sh -c 'exit 4' failed with exit code 4"
    assert "before" in lab.said()


HOSTILE: dict[str, str] = {
    "files of the host": "test ! -e /proc/1/root/usr/bin/buildah && test ! -e /usr/bin/buildah",
    "devices of the host": "! ls /dev/vda /dev/sda /dev/loop0 /dev/kvm /dev/net/tun /dev/fuse 2>/dev/null",
    "making devices": "! mknod /disk b 254 0",
    "mounting": "! mount -t proc proc /mnt && ! mount -t tmpfs t /mnt",
    "the kernel's switches": "! sh -c 'echo 1 >/proc/sys/kernel/sysrq' && ! sh -c 'echo b >/proc/sysrq-trigger'",
    "the network of the host": "test $(ip -o link | wc -l) = 1",
    "processes of the host": "test $(ls -d /proc/[0-9]* | wc -l) -lt 10",
    "other namespaces": "! nsenter -t 1 -m true && ! nsenter -t 1 -n true",
    "a secret in the environment": "! env | grep -q CREATEOS",
}


@pytest.mark.parametrize("attempt", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_step_cannot_reach(lab: BuildLab, attempt: str) -> None:
    lab.build(f"RUN {attempt}")


def test_root_in_a_step_is_nobody_on_the_host(lab: BuildLab) -> None:
    lab.build("RUN id -u && cat /proc/self/uid_map")

    assert any(line.split() == ["0", "1879048192", "65536"] for line in lab.log)


def test_a_step_that_fills_the_disk_meets_its_quota(lab: BuildLab) -> None:
    with pytest.raises(ImageError) as failed:
        lab.build("RUN dd if=/dev/zero of=/big bs=1M count=2000")

    assert "No space left on device" in lab.said()
    assert failed.value.reason


def test_a_fork_bomb_ends_with_its_step(lab: BuildLab) -> None:
    # Whether the shell itself can still fork decides how the step ends.
    with suppress(ImageError):
        lab.build("RUN (b() { b | b & }; b) 2>/dev/null; sleep 1; true")

    assert "b | b" not in subprocess.run(["ps", "ax"], capture_output=True, text=True, check=True).stdout
    lab.build("RUN true")


def test_a_build_that_is_stopped_leaves_nothing(lab: BuildLab, cache: Cache) -> None:
    mounts = Path("/proc/mounts").read_text()
    failed: list[ImageError] = []

    def build() -> None:
        try:
            lab.build("RUN sleep 1000", name="tpl-stopped")
        except ImageError as exc:
            failed.append(exc)

    building = threading.Thread(target=build)
    building.start()
    wait_for(lambda: "STEP 2/2" in lab.said())
    lab.buildah.stop("tpl-stopped")
    building.join(150)

    assert failed
    assert Path("/proc/mounts").read_text() == mounts
    assert not list(cache.bases.glob(".partial-*"))
    assert not list(Path("/sys/fs/cgroup").glob("**/createos-build-*"))
    assert "sleep 1000" not in subprocess.run(["ps", "ax"], capture_output=True, text=True, check=True).stdout


def test_a_control_group_is_removed_as_soon_as_what_was_killed_has_left_it() -> None:
    group = HIERARCHY / f"createos-build-{secrets.token_hex(6)}"
    inner = group / "step"
    inner.mkdir(parents=True)
    with subprocess.Popen(["sleep", "1000"]) as leaving:
        (inner / "cgroup.procs").write_text(str(leaving.pid))
        threading.Timer(0.5, leaving.kill).start()

        cgroups.remove(f"/{group.name}")

        assert not group.exists()


def test_the_control_group_that_a_killed_build_left_is_removed_by_the_next_of_its_name(
    lab: BuildLab, cache: Cache
) -> None:
    group = HIERARCHY / control_group(cache, "tpl-again")[1:]
    group.mkdir()

    lab.build("RUN true", name="tpl-again")

    assert not group.exists()
