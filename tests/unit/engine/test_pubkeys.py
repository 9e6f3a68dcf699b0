"""Public keys in one form: what is taken, and when two are the same."""

from __future__ import annotations

import asyncssh
import pytest
from createos_engine.pubkeys import LONGEST_LINE, canonical, identity, identity_of, merged


def line(kind: str = "ssh-ed25519", comment: str = "me", **options: int) -> str:
    key = asyncssh.generate_private_key(kind, comment=comment, **options)
    return key.export_public_key().decode().strip()


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp521", "ssh-rsa"])
def test_a_key_keeps_its_type_and_comment(kind: str) -> None:
    text = line(kind, "me at work")

    assert canonical(f"  {text}\r\n") == text


def test_a_security_key_is_a_key_too() -> None:
    text = (
        "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAAAAAAAAABHNzaDo= yubi"
    )

    assert canonical(text) == text


def test_spaces_are_single() -> None:
    kind, blob, comment = line().split()

    assert canonical(f"{kind}   {blob}  {comment}   too ") == f"{kind} {blob} {comment} too"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "must be one line"),
        ("nonsense", "must be one line"),
        ("ssh-ed25519", "must be one line"),
        ("ssh-ed25519 AAAA me", "cannot be read"),
        ("ssh-ed25519 ???? me", "cannot be read"),
        (f"{line()}\n{line()}", "must be one line"),
        (f'from="*" {line()}', "must be one line"),
        ("ssh-rsa " + line().split()[1], "cannot be read"),
        (line("ssh-dss"), "must be one line"),
        (line("ssh-rsa", key_size=1024), "2048 to 16384 bits"),
        (line() + "x" * LONGEST_LINE, "more than"),
    ],
    ids=(
        *("empty", "one word", "no blob", "short blob", "no base64", "two lines", "options", "another type's blob"),
        *("DSA", "short RSA", "long comment"),
    ),
)
def test_anything_else_is_refused_with_its_reason(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        canonical(text)


def test_a_certificate_is_no_key() -> None:
    authority, key = asyncssh.generate_private_key("ssh-ed25519"), asyncssh.generate_private_key("ssh-ed25519")
    certificate = authority.generate_user_certificate(key, "me").export_certificate().decode()

    with pytest.raises(ValueError, match="cannot be read"):
        canonical(certificate)


def test_keys_are_added_once_whatever_their_comments() -> None:
    one, two, three = line(comment="one"), line(comment="two"), line(comment="three")

    assert merged((one, two), (two.replace("two", "again"), three, three)) == (one, two, three)
    assert merged((one,), ()) == (one,)


def test_the_identity_of_a_key_has_no_comment() -> None:
    text = line()

    assert identity(asyncssh.import_public_key(text)) == identity_of(text) == " ".join(text.split()[:2])
