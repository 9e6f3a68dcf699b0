"""A listing that names anything outside of the folder is none for the guest."""

from __future__ import annotations

import pytest
from createos_engine.s3.listing import stays_below

NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def listing(inside: str) -> bytes:
    return (
        f"<?xml version='1.0'?><ListBucketResult {NAMESPACE}><Prefix>a b/</Prefix>{inside}</ListBucketResult>".encode()
    )


@pytest.mark.parametrize(
    "inside",
    [
        "",
        "<Contents><Key>a b/c</Key></Contents><Contents><Key>a b/</Key></Contents>",
        "<Contents><Key>a%20b/c</Key></Contents>",
        "<Contents><Key>a+b%2Fc</Key></Contents>",
        "<CommonPrefixes><Prefix>a b/c/</Prefix></CommonPrefixes>",
        "<NextMarker>a b/c</NextMarker><NextMarker></NextMarker>",
        "<Upload><Key>a b/c</Key></Upload>",
    ],
)
def test_listing_of_the_folder_passes(inside: str) -> None:
    assert stays_below(listing(inside), "a b")


@pytest.mark.parametrize(
    "body",
    [
        listing("<Contents><Key>a b/c</Key></Contents><Contents><Key>other</Key></Contents>"),
        listing("<Contents><Key>a b</Key></Contents>"),
        listing("<CommonPrefixes><Prefix>a bc/</Prefix></CommonPrefixes>"),
        listing("<NextMarker>other</NextMarker>"),
        listing("<Upload><Key>other</Key></Upload>"),
        listing("<Contents><Key>a b/c</Key>"),
        b"<!DOCTYPE x [<!ENTITY y 'z'>]><x/>",
        b"",
    ],
)
def test_anything_else_does_not(body: bytes) -> None:
    assert not stays_below(body, "a b")
