from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from createos_cli.errors import Usage
from createos_cli.ssh_keys import find_identity, is_public_key, own_public_keys, read_public_key, same_key

LINE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICL6Q5P9tTl0ErOJCpj+Kn2lX7Ukn2BJlwKzzAyVFeSh me@here"


def keys(directory: Path, *names: str) -> None:
    directory.mkdir(exist_ok=True)
    for name in names:
        (directory / name).write_text("private")
        (directory / f"{name}.pub").write_text(f"{LINE}\n")


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_what_ssh_keygen_writes_is_read(tmp_path: Path, kind: str) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "me there", "-f", tmp_path / "id"], check=True)

    line = read_public_key(tmp_path / "id.pub", "--ssh-key")

    assert line == (tmp_path / "id.pub").read_text().strip()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no public key"),
        (b"ssh-ed25519 AAAA me", "no public key"),
        (b"ssh-ed25519 not/base64! me", "no public key"),
        (f"ssh-rsa {LINE.split()[1]}".encode(), "no public key"),
        (f"{LINE}\n{LINE}".encode(), "no public key"),
        (f'command="x" {LINE}'.encode(), "no public key"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\n", "is a private key"),
        (b"\xff\xfe", "it is not text"),
    ],
)
def test_anything_else_is_refused_with_its_reason(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "k").write_bytes(content)

    with pytest.raises(Usage, match=why):
        read_public_key(tmp_path / "k", "--add-ssh-key")


def test_comments_and_empty_lines_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "k").write_text(f"# mine\n\n{LINE}\n")

    assert read_public_key(tmp_path / "k", "--ssh-key") == LINE


def test_keys_are_the_same_whatever_their_comments() -> None:
    assert same_key(LINE, LINE.replace("me@here", "somebody else"))
    assert not same_key(LINE, LINE.replace("Sh me", "Si me"))
    assert is_public_key(LINE)


def test_own_keys_are_the_readable_public_ones(tmp_path: Path) -> None:
    keys(tmp_path / ".ssh", "id_ed25519", "work")
    (tmp_path / ".ssh" / "broken.pub").write_text("no key")

    assert [path.name for path in own_public_keys(tmp_path)] == ["id_ed25519.pub", "work.pub"]


def test_the_first_usual_identity_is_taken(tmp_path: Path) -> None:
    keys(tmp_path / ".ssh", "id_ecdsa", "id_rsa")

    found = find_identity(tmp_path, "")

    assert (found.private.name, found.public_key) == ("id_rsa", LINE)


def test_a_named_identity_needs_its_public_half(tmp_path: Path) -> None:
    keys(tmp_path, "mine")
    (tmp_path / "mine.pub").unlink()

    with pytest.raises(Usage, match=r"there is no .*mine\.pub beside the key"):
        find_identity(tmp_path, str(tmp_path / "mine"))


def test_without_any_key_the_way_to_one_is_said(tmp_path: Path) -> None:
    with pytest.raises(Usage) as failure:
        find_identity(tmp_path, "")

    assert "ssh-keygen" in failure.value.hint
