"""A wait ends where nothing more will come of it."""

from __future__ import annotations

import pytest
from createos_cli.errors import CliError
from createos_cli.waiting import wait_for

from tests.unit.cli.fake_api import sandbox


class _Client:
    """One row, as it is at the first look."""

    def __init__(self, **row: str) -> None:
        self._row = sandbox(1, "my-box", **row)

    def get(self, path: str) -> dict[str, object]:
        return self._row


@pytest.mark.parametrize(("status", "wanted"), [("running", "paused"), ("paused", "running")])
def test_a_pause_or_resume_that_was_undone_is_told_at_once_with_its_reason(status: str, wanted: str) -> None:
    client = _Client(status=status, reason="it could not be paused: the disk is full")

    with pytest.raises(CliError, match=f"the sandbox is {status}, not {wanted}: it could not be paused: the disk"):
        wait_for(client, "sb-1", wanted)  # type: ignore[arg-type]
