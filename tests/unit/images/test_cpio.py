from __future__ import annotations

import subprocess

from createos_images import cpio

ENTRIES = [
    cpio.file("init", b"#!", 0o755),
    cpio.directory("dev"),
    cpio.file("modules/order", b"a.ko\n"),
    cpio.directory("modules"),
]


def listed(archive: bytes, *options: str) -> str:
    done = subprocess.run(["cpio", "-t", *options], input=archive, capture_output=True, check=True)
    return done.stdout.decode()


def test_cpio_lists_the_members_sorted_by_name() -> None:
    archive = cpio.archive(ENTRIES)

    assert listed(archive).split() == ["dev", "init", "modules", "modules/order"]


def test_the_order_of_the_entries_does_not_change_a_byte() -> None:
    assert cpio.archive(ENTRIES) == cpio.archive(reversed(ENTRIES))


def test_members_belong_to_root_and_are_dated_1970() -> None:
    lines = listed(cpio.archive(ENTRIES), "-v", "--numeric-uid-gid").splitlines()

    assert [line.split()[2:4] for line in lines] == [["0", "0"]] * len(ENTRIES)
    assert all("1970" in line for line in lines)
    assert lines[1].startswith("-rwxr-xr-x")


def test_one_file_is_written_byte_by_byte_as_the_format_says() -> None:
    expected = (
        b"070701" b"00000001" b"000081A4" b"00000000" b"00000000" b"00000001" b"00000000" b"00000003"
        b"00000000" b"00000000" b"00000000" b"00000000" b"00000002" b"00000000"
        b"a\0"
        b"abc\0"
        b"070701" b"00000000" b"00000000" b"00000000" b"00000000" b"00000001" b"00000000" b"00000000"
        b"00000000" b"00000000" b"00000000" b"00000000" b"0000000B" b"00000000"
        b"TRAILER!!!\0\0\0\0"
    )  # fmt: skip

    archive = cpio.archive([cpio.file("a", b"abc")])

    assert archive == expected.ljust(512, b"\0")


def test_contents_come_back_as_they_were() -> None:
    data = bytes(range(256)) * 17 + b"x"
    archive = cpio.archive([cpio.file("data", data)])

    done = subprocess.run(["cpio", "-i", "--to-stdout", "data"], input=archive, capture_output=True, check=True)

    assert done.stdout == data
