"""What `setcap` of a build step means in a guest."""

from __future__ import annotations

import struct

from createos_images.file_capabilities import for_guests

ROOT_ID = 1_879_048_192
PERMITTED = (1 << 10, 0, 0, 0)


def test_capabilities_for_the_root_of_a_build_become_those_for_any_root() -> None:
    of_build = struct.pack("<6I", 0x03000001, *PERMITTED, ROOT_ID)

    assert for_guests(of_build, ROOT_ID) == struct.pack("<5I", 0x02000001, *PERMITTED)


def test_others_stay_as_they_are() -> None:
    of_any_root = struct.pack("<5I", 0x02000000, *PERMITTED)
    of_somebody = struct.pack("<6I", 0x03000000, *PERMITTED, 1000)

    assert for_guests(of_any_root, ROOT_ID) == of_any_root
    assert for_guests(of_somebody, ROOT_ID) == of_somebody
    assert for_guests(b"", ROOT_ID) == b""
