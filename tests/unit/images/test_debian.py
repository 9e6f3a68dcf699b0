from __future__ import annotations

import pytest
from createos_images import debian
from createos_images.errors import ImageError

from tests.unit.images.conftest import FakeProgram

INDEXES = """cat <<'END'
Debian|http://mirror.example/debian/
Debian|http://mirror.example/debian/
Debian-Security|http://security.example/debian-security/
Docker CE|https://download.example/linux/
END"""


def test_images_come_from_the_mirror_of_the_host(fake_program: FakeProgram) -> None:
    fake_program("apt-get", INDEXES)

    assert debian.sources("bookworm") == [
        "deb http://mirror.example/debian/ bookworm main",
        "deb http://mirror.example/debian/ bookworm-updates main",
        "deb http://security.example/debian-security/ bookworm-security main",
    ]


def test_a_host_that_is_not_debian_uses_the_public_mirrors(fake_program: FakeProgram) -> None:
    fake_program("apt-get", 'echo "Ubuntu|http://archive.example/ubuntu/"')

    assert debian.sources("bookworm")[0] == "deb http://deb.debian.org/debian bookworm main"


def test_a_mirror_that_is_given_is_the_only_one() -> None:
    assert debian.sources("bookworm", "http://192.0.2.1/debian") == [
        "deb http://192.0.2.1/debian bookworm main",
        "deb http://192.0.2.1/debian bookworm-updates main",
    ]


def test_only_options_about_reaching_mirrors_are_taken_over(fake_program: FakeProgram) -> None:
    fake_program(
        "apt-config",
        """cat <<'END'
APT::Install-Recommends "0";
Acquire::http "";
Acquire::http::Proxy "http://192.0.2.1:3142";
Acquire::Check-Date "false";
Acquire::Languages:: "none";
Dir::Cache "var/cache/apt";
END""",
    )

    assert debian.transport_options() == [
        'Acquire::http::Proxy "http://192.0.2.1:3142";',
        'Acquire::Check-Date "false";',
    ]


@pytest.mark.parametrize(
    "words",
    [
        "W: Failed to fetch http://deb.debian.org/debian/dists/bookworm/InRelease  Could not resolve 'deb.debian.org'",
        "Temporary failure resolving 'deb.debian.org'",
        "Cannot initiate the connection to deb.debian.org:80 - connect (101: Network is unreachable)",
    ],
)
def test_a_missing_network_is_recognised(words: str) -> None:
    found = debian.explained(ImageError("mmdebstrap: failed", details=words), "Debian bookworm")

    assert found.sentence == (
        "Debian bookworm cannot be downloaded: no mirror answers; "
        "run make setup once while the network works; afterwards none is needed"
    )


def test_other_failures_keep_their_reason() -> None:
    found = debian.explained(ImageError("apt-get: 404  Not Found"), "package linux")

    assert found.sentence == (
        "package linux cannot be downloaded: apt-get: 404  Not Found; run apt-get update, then make setup"
    )
