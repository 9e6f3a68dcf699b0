"""The authority can speak for its domain and for nothing else."""

from __future__ import annotations

import asyncio
import ssl
import stat
import subprocess
from pathlib import Path

import pytest
from createos_netconfig.errors import NetconfigError
from createos_netconfig.ingress.authority import Authority, Contexts, key_pem
from createos_netconfig.ingress.hostnames import Place, place_of, template
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from tests.unit.netconfig.ingress.conftest import DOMAIN, LABEL


def accepted(tmp_path: Path, authority: Authority, name: str, leaf: bytes = b"") -> bool:
    """Tell whether OpenSSL takes a leaf of the authority for a name."""
    key = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "ca.pem").write_text(authority.pem)
    (tmp_path / "leaf.pem").write_bytes(leaf or authority.leaf(name, key))
    argv = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", "ca.pem", "leaf.pem"]
    return subprocess.run(argv, cwd=tmp_path, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("name", "is_ours"),
    [
        (f"{LABEL}-80.{DOMAIN}", True),
        ("example.org", False),
        ("localhost", False),
        (f"evil{DOMAIN}", False),
        ("github.com", False),
    ],
)
def test_names_outside_the_domain_are_not_believed(tmp_path: Path, name: str, is_ours: bool) -> None:
    assert accepted(tmp_path, Authority(tmp_path / "ca", DOMAIN), name) is is_ours


def test_the_constraints_are_critical_and_exclude_addresses(tmp_path: Path) -> None:
    certificate = x509.load_pem_x509_certificate(Authority(tmp_path / "ca", DOMAIN).pem.encode())
    constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints)

    assert constraints.critical
    assert constraints.value.permitted_subtrees == [x509.DNSName(DOMAIN)]
    assert [str(each.value) for each in constraints.value.excluded_subtrees or []] == ["0.0.0.0/0", "::/0"]
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0


def test_the_key_is_nobody_elses_and_the_authority_stays(tmp_path: Path) -> None:
    first = Authority(tmp_path / "ca", DOMAIN).pem

    assert Authority(tmp_path / "ca", DOMAIN).pem == first
    assert stat.S_IMODE((tmp_path / "ca/ca.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "ca").stat().st_mode) == 0o700


def test_another_domain_gets_another_authority(tmp_path: Path) -> None:
    first = Authority(tmp_path / "ca", DOMAIN).pem

    assert Authority(tmp_path / "ca", "boxes.example").pem != first


def test_files_that_are_no_authority_are_said(tmp_path: Path) -> None:
    (tmp_path / "ca.key").write_text("nonsense")
    (tmp_path / "ca.pem").write_text("nonsense")

    with pytest.raises(NetconfigError, match="certificate authority in"):
        Authority(tmp_path, DOMAIN)


def test_contexts_are_kept_and_bounded(tmp_path: Path) -> None:
    contexts = Contexts(Authority(tmp_path / "ca", DOMAIN))
    first = contexts.of("a")

    assert contexts.of("a") is first
    for number in range(300):
        contexts.of(str(number))
    assert contexts.of("a") is not first
    assert len(contexts._made) <= 256


async def test_a_name_that_is_not_ours_gets_no_certificate(tmp_path: Path) -> None:
    from createos_netconfig.ingress.listener import Listener

    authority = Authority(tmp_path / "ca", DOMAIN)
    listener = Listener(DOMAIN, lambda _: None, Contexts(authority))  # type: ignore[arg-type,return-value]
    port = await listener.open("https", "127.0.0.1", 0)

    for name in ("example.org", DOMAIN):
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            await asyncio.open_connection(
                "127.0.0.1", port, ssl=ssl.create_default_context(cadata=authority.pem), server_hostname=name
            )
    await listener.close()


def test_a_private_key_is_written_in_one_form() -> None:
    assert key_pem(ec.generate_private_key(ec.SECP256R1())).startswith(b"-----BEGIN PRIVATE KEY-----")


@pytest.mark.parametrize(
    ("host", "place"),
    [
        (f"{LABEL}-8080.{DOMAIN}", Place(LABEL, 8080)),
        (f"{LABEL.upper()}-1.{DOMAIN.upper()}.:8443", Place(LABEL, 1)),
        (f"{LABEL}-65536.{DOMAIN}", None),
        (f"{LABEL}-08.{DOMAIN}", None),
        (f"{LABEL}u-8.{DOMAIN}", None),
        (f"a.{LABEL}-8.{DOMAIN}", None),
        (f"{LABEL}-8.{DOMAIN}.evil.example", None),
        (f"{LABEL}-8", None),
        ("", None),
    ],
)
def test_a_name_says_where_it_leads(host: str, place: Place | None) -> None:
    assert place_of(host, DOMAIN) == place


def test_a_url_has_its_port_unless_it_is_the_usual_one() -> None:
    assert template("https", LABEL, DOMAIN, 8443) == f"https://{LABEL}-<port>.{DOMAIN}:8443"
    assert template("https", LABEL, DOMAIN, 443) == f"https://{LABEL}-<port>.{DOMAIN}"
