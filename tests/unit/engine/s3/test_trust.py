"""A guest that speaks TLS with an endpoint itself trusts whom this host trusts."""

from __future__ import annotations

from pathlib import Path

import pytest
from createos_engine.s3.trust import authorities

ONE, OTHER = (f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n" for body in ("AAAA", "BBBB"))


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    hashed = tmp_path / "certs"
    hashed.mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "bundle.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(hashed))
    return tmp_path


def test_file_and_directory_make_one_store_with_each_certificate_once(store: Path) -> None:
    (store / "bundle.pem").write_text(f"# a comment, and no line end behind the last line\n{ONE}".rstrip())
    (store / "certs" / "0a1b2c3d.0").write_text(OTHER)
    (store / "certs" / "0a1b2c3d.1").write_text(ONE)

    assert authorities() == ONE + OTHER


def test_nothing_but_certificates_leaves_the_host(store: Path) -> None:
    key = "-----BEGIN PRIVATE KEY-----\nCCCC\n-----END PRIVATE KEY-----\n"
    (store / "bundle.pem").write_text(key + ONE)
    (store / "certs" / "notes.txt").write_text(OTHER)
    (store / "certs" / "0a1b2c3d.0").symlink_to(store / "gone")

    assert authorities() == ONE


def test_host_without_a_store_trusts_nobody() -> None:
    assert authorities() == ""
