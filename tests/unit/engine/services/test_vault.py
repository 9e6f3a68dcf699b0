"""What is sealed can be opened by nobody else, and the key file is nobody else's."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from createos_engine.errors import HostFailed
from createos_engine.services.vault import Vault


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "disks.key"


@pytest.fixture
def vault(key_file: Path) -> Vault:
    return Vault(key_file, in_use=lambda: False)


def test_the_key_file_is_made_when_it_is_needed(vault: Vault, key_file: Path) -> None:
    assert not key_file.exists()

    vault.seal(b"secret", "disk_1")

    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert len(key_file.read_bytes()) == 32
    assert [path.name for path in key_file.parent.iterdir()] == ["disks.key"]


def test_another_vault_opens_it_with_the_same_file(vault: Vault, key_file: Path) -> None:
    sealed = vault.seal(b"secret", "disk_1")

    assert Vault(key_file, in_use=lambda: True).open(sealed, "disk_1") == b"secret"


def test_a_half_made_file_is_in_nobodys_way(vault: Vault, key_file: Path) -> None:
    key_file.with_suffix(".partial").write_bytes(b"half")

    assert vault.open(vault.seal(b"secret", "disk_1"), "disk_1") == b"secret"


def test_what_was_sealed_for_one_is_not_opened_as_that_of_another(vault: Vault) -> None:
    sealed = vault.seal(b"secret", "disk_1")

    with pytest.raises(HostFailed, match="keys of disk_2 were not sealed"):
        vault.open(sealed, "disk_2")


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01" + b"n" * 12, b"\x02" + b"n" * 60, b"n" * 100])
def test_what_was_never_sealed_is_refused(vault: Vault, sealed: bytes) -> None:
    vault.seal(b"makes the key", "disk_1")

    with pytest.raises(HostFailed, match="keys of disk_1 were not sealed") as refused:
        vault.open(sealed, "disk_1")

    assert "give the disk its keys again" in refused.value.hint


def test_a_lost_key_file_is_not_replaced_while_secrets_need_it(key_file: Path) -> None:
    vault = Vault(key_file, in_use=lambda: True)

    for call in (lambda: vault.seal(b"secret", "disk_1"), lambda: vault.open(b"\x01" + b"n" * 60, "disk_1")):
        with pytest.raises(HostFailed, match="disks.key is missing") as refused:
            call()
        assert "backup" in refused.value.hint

    assert not key_file.exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o620])
def test_a_file_that_others_can_read_is_refused(vault: Vault, key_file: Path, mode: int) -> None:
    sealed = vault.seal(b"secret", "disk_1")
    key_file.chmod(mode)

    for call in (lambda: vault.seal(b"secret", "disk_1"), lambda: vault.open(sealed, "disk_1")):
        with pytest.raises(HostFailed, match="only createosd's user can read"):
            call()


def test_a_link_is_no_key_file(vault: Vault, key_file: Path) -> None:
    sealed = vault.seal(b"secret", "disk_1")
    key_file.rename(key_file.with_name("elsewhere"))
    key_file.symlink_to(key_file.with_name("elsewhere"))

    with pytest.raises(HostFailed, match="cannot be read"):
        vault.open(sealed, "disk_1")


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_damaged_key_file_is_said(vault: Vault, key_file: Path, length: int) -> None:
    sealed = vault.seal(b"secret", "disk_1")
    key_file.write_bytes(b"k" * length)

    with pytest.raises(HostFailed, match="is damaged"):
        vault.open(sealed, "disk_1")


def test_a_directory_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(HostFailed, match="cannot be made"):
        Vault(tmp_path / "missing" / "disks.key", in_use=lambda: False).seal(b"secret", "disk_1")
