from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest
from createos_images.agent import Agent
from createos_images.cache import Cache
from createos_images.errors import ImageError
from createos_images.initramfs import build_initramfs
from createos_images.kernel import Kernel
from createos_images.modules import AFTER_ROOT, BEFORE_ROOT
from createos_images.progress import silent


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    path = tmp_path / "agent"
    path.write_bytes(b"\x7fELF agent")
    return Agent(path, "1.0+abc", "abc")


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    """A kernel that has all modules we want but the last of the optional ones."""
    modules = tmp_path / "modules"
    modules.mkdir()
    names = (*BEFORE_ROOT, *AFTER_ROOT[:-1])
    for name in names:
        (modules / f"{name}.ko").write_text(name)
    (modules / "modules.dep").write_text("".join(f"{name}.ko:\n" for name in names))
    (modules / "modules.builtin").write_text("")
    return Kernel("6.1", tmp_path / "vmlinux", modules, "d1")


def members(image: Path) -> list[str]:
    return (
        subprocess.run(["cpio", "-t"], input=image.read_bytes(), capture_output=True, check=True)
        .stdout.decode()
        .split()
    )


def test_the_agent_is_init_and_the_modules_are_beside_their_order(cache: Cache, kernel: Kernel, agent: Agent) -> None:
    image = build_initramfs(cache, kernel, agent, silent)

    found = members(image.path)
    assert {"init", "modules/order", "modules/virtio_blk.ko", "dev", "proc", "sys", "newroot"} <= set(found)
    assert len(found) == 7 + len(BEFORE_ROOT) + len(AFTER_ROOT) - 1


def test_an_image_is_named_by_its_digest_and_described(cache: Cache, kernel: Kernel, agent: Agent) -> None:
    image = build_initramfs(cache, kernel, agent, silent)

    data = image.path.read_bytes()
    said = json.loads(image.path.with_suffix(".json").read_text())
    assert image.digest == image.path.stem == hashlib.sha256(data).hexdigest()
    assert (said["kernel"], said["agent"], said["size_bytes"]) == ("6.1", "1.0+abc", len(data))


def test_the_same_parts_give_the_same_file_and_no_second_build(
    cache: Cache, kernel: Kernel, agent: Agent, said: list[str]
) -> None:
    first = build_initramfs(cache, kernel, agent, silent)

    assert build_initramfs(cache, kernel, agent, said.append) == first
    assert said == []


def test_another_agent_gives_another_image(cache: Cache, kernel: Kernel, agent: Agent) -> None:
    first = build_initramfs(cache, kernel, agent, silent)
    agent.path.write_bytes(b"\x7fELF better agent")

    assert build_initramfs(cache, kernel, agent, silent).digest != first.digest


def test_missing_optional_modules_are_told(cache: Cache, kernel: Kernel, agent: Agent, said: list[str]) -> None:
    build_initramfs(cache, kernel, agent, said.append)

    assert said[-1] == f"the kernel lacks optional modules: {AFTER_ROOT[-1]}"


def test_a_kernel_without_a_module_list_is_refused_with_the_remedy(cache: Cache, kernel: Kernel, agent: Agent) -> None:
    (kernel.modules_dir / "modules.dep").unlink()

    with pytest.raises(ImageError, match=r"has no modules\.dep") as caught:
        build_initramfs(cache, kernel, agent, silent)

    assert "depmod" in caught.value.hint
