from __future__ import annotations

import pytest
from createos_netconfig.errors import NetconfigError
from createos_netconfig.names import Instance

ONE = Instance("a1b2")


@pytest.mark.parametrize("text", ["", "abc", "abcde", "ABCD", "a-b2", "a1b ", "äbcd", "a1b\n", "a1b2\n"])
def test_an_instance_id_is_four_plain_characters(text: str) -> None:
    with pytest.raises(NetconfigError, match="four characters of a-z and 0-9"):
        Instance(text)


def test_every_name_carries_the_tag() -> None:
    assert (ONE.interface(12), ONE.pattern, ONE.table) == ("ca1b2-12", "ca1b2-*", "createos_a1b2")


def test_a_slot_is_read_back_from_its_interface() -> None:
    assert ONE.slot(ONE.interface(65_000)) == 65_000


@pytest.mark.parametrize("slot", [0, -1, 1_000_000_000])
def test_there_is_no_interface_for_an_impossible_slot(slot: int) -> None:
    with pytest.raises(NetconfigError, match="no interface name"):
        ONE.interface(slot)


@pytest.mark.parametrize(
    "name", ["eth0", "ca1b3-1", "ca1b2-", "ca1b2-x", "ca1b2-1x", "ca1b2--1", "xca1b2-1", "ca1b2-²"]
)
def test_what_lacks_the_tag_is_not_ours(name: str) -> None:
    assert not ONE.owns(name)
    with pytest.raises(NetconfigError, match="is no interface of instance a1b2"):
        ONE.slot(name)


@pytest.mark.parametrize("name", ["ca1b2-0", "ca1b2-01", "ca1b2-٣"])
def test_a_name_that_we_would_not_give_is_not_ours(name: str) -> None:
    assert not ONE.owns(name)
