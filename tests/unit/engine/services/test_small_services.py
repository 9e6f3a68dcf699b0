"""Console tails, admission, names and locks."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from createos_engine.errors import Invalid, Unavailable
from createos_engine.services.admission import available_memory_mib, require_memory, require_space, shortage
from createos_engine.services.console import last_lines, trim
from createos_engine.services.locks import SandboxLocks
from createos_engine.services.naming import machine_uuid, random_name, sandbox_id
from createos_engine.services.shapes import find_shape
from hypothesis import given
from hypothesis import strategies as st


@given(st.binary(max_size=2000))
def test_whatever_a_guest_prints_only_printable_ascii_is_shown(printed: bytes) -> None:
    import tempfile

    with tempfile.NamedTemporaryFile() as log:
        log.write(printed)
        log.flush()

        lines = last_lines(Path(log.name))

    assert all(re.fullmatch(r"[ -~]{1,200}", line) for line in lines)
    assert len(lines) <= 8


def test_no_console_is_no_lines(tmp_path: Path) -> None:
    assert last_lines(tmp_path / "missing") == []


def test_a_long_console_is_cut_to_its_end_and_what_comes_next_follows_it(tmp_path: Path) -> None:
    console = tmp_path / "console.log"
    with console.open("ab", buffering=0) as qemu:
        qemu.write(b"noise\n" * 20_000 + b"last words\n")

        cut = trim(console, limit_bytes=50_000)
        qemu.write(b"and more\n")

    assert cut
    assert console.stat().st_size < 10_000
    assert last_lines(console)[-2:] == ["last words", "and more"]
    assert not trim(console, limit_bytes=50_000)
    assert not trim(tmp_path / "missing")


def test_available_memory_is_read_in_mib(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:  8388608 kB\nMemAvailable:   2097152 kB\n")

    assert available_memory_mib(tmp_path / "meminfo") == 2048


def test_a_guest_that_does_not_fit_is_refused_with_what_is_left() -> None:
    with pytest.raises(Unavailable, match="not enough free memory for a sandbox of 1024 MiB: 500 MiB"):
        require_memory(1024, promised_mib=1000, reserve_mib=500, available_mib=2000)


def test_a_full_disk_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="not enough free disk space"):
        require_space(tmp_path, reserve_mib=10**9)


def test_a_write_that_failed_may_have_lacked_space(tmp_path: Path) -> None:
    said = shortage(tmp_path, 10**9)

    assert said.startswith(f"up to 1000000000 MiB are needed in {tmp_path} and ")
    assert shortage(tmp_path, 0) == ""


def test_ids_and_names_have_the_form_of_the_contract() -> None:
    identity = sandbox_id()

    assert re.fullmatch(r"sb-[0-9a-z]{26}", identity)
    assert re.fullmatch(r"[a-z]+-[a-z]+", random_name())
    assert machine_uuid(identity) == machine_uuid(identity)


def test_an_unknown_shape_is_named_in_the_words_of_the_contract() -> None:
    with pytest.raises(Invalid, match="^unknown shape: s-bad$") as refused:
        find_shape("s-bad")

    assert refused.value.field == "shape"


async def test_a_lock_is_held_by_one_and_forgotten_afterwards() -> None:
    locks, order = SandboxLocks(), []

    async def work(name: str) -> None:
        async with locks.hold("sb-1"):
            order.append(f"{name} in")
            await asyncio.sleep(0)
            order.append(f"{name} out")

    await asyncio.gather(work("a"), work("b"))

    assert order == ["a in", "a out", "b in", "b out"]
    assert locks.busy() == frozenset()
