"""Whatever is sealed comes back as it was, to its owner alone, and unchanged or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from createos_engine.errors import HostFailed
from createos_engine.services.vault import Vault
from hypothesis import given
from hypothesis import strategies as st

OWNERS = st.text(min_size=1, max_size=40)


@pytest.fixture(scope="module")
def vault() -> Iterator[Vault]:
    with TemporaryDirectory() as directory:
        yield Vault(Path(directory, "disks.key"), in_use=lambda: False)


@given(secret=st.binary(max_size=2000), owner=OWNERS)
def test_a_secret_comes_back_as_it_was(vault: Vault, secret: bytes, owner: str) -> None:
    assert vault.open(vault.seal(secret, owner), owner) == secret


@given(secret=st.binary(min_size=8, max_size=200), owner=OWNERS)
def test_two_seals_of_one_secret_tell_nothing(vault: Vault, secret: bytes, owner: str) -> None:
    one, other = vault.seal(secret, owner), vault.seal(secret, owner)

    assert one != other
    assert secret not in one


@given(secret=st.binary(max_size=200), owner=OWNERS, other=OWNERS)
def test_nobody_else_can_open_it(vault: Vault, secret: bytes, owner: str, other: str) -> None:
    sealed = vault.seal(secret, owner)
    if owner == other:
        return

    with pytest.raises(HostFailed):
        vault.open(sealed, other)


@given(secret=st.binary(max_size=200), data=st.data())
def test_one_changed_bit_is_noticed(vault: Vault, secret: bytes, data: st.DataObject) -> None:
    sealed = bytearray(vault.seal(secret, "disk_1"))
    place = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[place // 8] ^= 1 << place % 8

    with pytest.raises(HostFailed):
        vault.open(bytes(sealed), "disk_1")


@given(secret=st.binary(max_size=200), data=st.data())
def test_what_was_cut_off_is_noticed(vault: Vault, secret: bytes, data: st.DataObject) -> None:
    sealed = vault.seal(secret, "disk_1")
    length = data.draw(st.integers(0, len(sealed) - 1))

    with pytest.raises(HostFailed):
        vault.open(sealed[:length], "disk_1")
