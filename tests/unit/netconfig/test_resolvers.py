from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest
from createos_netconfig.resolvers import upstream_resolvers


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_servers_are_those_of_the_file_in_its_order(tmp_path: Path) -> None:
    file = write(
        tmp_path / "a", "# comment", "search x", "nameserver 192.0.2.53", "nameserver 2001:db8::53", "options x"
    )

    assert upstream_resolvers([file]) == (ip_address("192.0.2.53"), ip_address("2001:db8::53"))


@pytest.mark.parametrize(
    "line",
    [
        *("127.0.0.53", "::1", "0.0.0.0", "::", "169.254.169.254", "fe80::1%eth0", "::ffff:127.0.0.1", "224.0.0.251"),
        *("not-an-address", "300.1.1.1"),
    ],
)
def test_what_only_the_host_can_ask_is_left_out(tmp_path: Path, line: str) -> None:
    file = write(tmp_path / "a", f"nameserver {line}")

    assert upstream_resolvers([file]) == ()


def test_a_local_stub_sends_us_to_the_next_file(tmp_path: Path) -> None:
    stub = write(tmp_path / "stub", "nameserver 127.0.0.53")
    real = write(tmp_path / "real", "nameserver 192.0.2.53")

    assert upstream_resolvers([stub, real]) == (ip_address("192.0.2.53"),)


def test_a_server_named_twice_is_one(tmp_path: Path) -> None:
    file = write(tmp_path / "a", "nameserver 192.0.2.53", "nameserver 192.0.2.53")

    assert upstream_resolvers([file]) == (ip_address("192.0.2.53"),)


def test_no_file_and_no_server_are_no_error(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe nameserver\nnameserver\n")

    assert upstream_resolvers([tmp_path / "absent", tmp_path / "binary", tmp_path]) == ()
