"""Access tokens and larger disks through the official Python SDK."""

from __future__ import annotations

import createos
import pytest


def test_an_access_token_lives_and_ends(box: createos.SandboxInstance) -> None:
    made = box.create_access_token()
    assert made.enabled
    assert made.token.startswith("skp_sb_")

    with pytest.raises(createos.APIError) as refused:
        box.create_access_token()
    assert refused.value.status_code == 409

    rotated = box.rotate_access_token()
    assert rotated.token != made.token
    assert box.get_access_token().enabled
    assert not box.disable_access_token().enabled
    assert not box.get_access_token().enabled


def test_a_disk_grows_and_never_shrinks(box: createos.SandboxInstance) -> None:
    size = (box.data.disk_mib or 10240) + 512

    assert box.resize(size).disk_mib == size
    with pytest.raises(createos.APIError) as refused:
        box.resize(size)
    assert refused.value.status_code == 400
