"""QEMU writes into the file it is handed; only one that it wrote to the end counts as whole."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import libvirt
import pytest
from createos_engine.drivers.hypervisor import UnusableImage
from createos_engine.drivers.libvirt import direct_save
from createos_engine.drivers.libvirt.monitor import Refused
from createos_engine.drivers.libvirt.savefile import decode

STREAM = b"QEVM and what comes after it"


class _Domain:
    """A stopped machine whose monitor answers as QEMU does."""

    def __init__(self, *, refuses: str = "", fails: str = "") -> None:
        self.refuses = refuses
        self.fails = fails
        self.asked: list[str] = []
        self._file = -1

    def XMLDesc(self, flags: int) -> str:  # noqa: N802  libvirt's name
        assert flags & libvirt.VIR_DOMAIN_XML_MIGRATABLE
        return "<domain>one</domain>"

    def answer(self, command: str, files: Sequence[int]) -> dict[str, str]:
        self.asked.append(command)
        if command == self.refuses:
            raise Refused(f"QEMU refused {command}: not now")
        if command == "getfd":
            self._file = os.dup(files[0])
        elif command == "query-migrate":
            if self.fails:
                return {"status": "failed", "error-desc": self.fails}
            if self.asked.count(command) < 3:
                return {"status": "active"}
            os.write(self._file, STREAM)
            os.close(self._file)
            return {"status": "completed"}
        return {}


@pytest.fixture(autouse=True)
def _monitor(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(domain: Any, command: str, *, files: Sequence[int] = (), **_: object) -> Any:
        return domain.answer(command, files)

    monkeypatch.setattr(direct_save, "ask", ask)


def save(domain: Any, to: Path) -> None:
    handle = direct_save.create(to)
    try:
        direct_save.save(domain, handle)
    finally:
        os.close(handle)


def test_the_stream_stands_behind_a_header_of_libvirts(tmp_path: Path) -> None:
    to = tmp_path / "memory"

    save(_Domain(), to)

    content = to.read_bytes()
    header = decode(content)
    assert (header.xml, header.was_running) == ("<domain>one</domain>", True)
    assert content[header.stream_offset :] == STREAM
    assert to.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("domain", "said"),
    [
        (_Domain(refuses="getfd"), "QEMU refused getfd: not now"),
        (_Domain(fails="No space left on device"), "QEMU could not write it: No space left on device"),
    ],
)
def test_what_was_not_written_to_the_end_is_no_image(tmp_path: Path, domain: _Domain, said: str) -> None:
    with pytest.raises(Refused, match=said):
        save(domain, tmp_path / "memory")

    with pytest.raises(UnusableImage, match="never finished"):
        decode((tmp_path / "memory").read_bytes())


def test_a_file_that_is_there_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "memory").write_text("kept")

    with pytest.raises(FileExistsError):
        save(_Domain(), tmp_path / "memory")

    assert (tmp_path / "memory").read_text() == "kept"


def test_a_save_that_is_given_up_writes_no_more() -> None:
    domain = _Domain()

    direct_save.cancel(domain)

    assert domain.asked == ["migrate_cancel"]
