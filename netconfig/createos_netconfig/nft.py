"""nftables through libnftables, in this process: one call is one transaction, all of it or nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import Any

import nftables

from createos_netconfig.errors import NetconfigError

Command = dict[str, Any]


class Nft:
    """A handle on libnftables that threads may share."""

    def __init__(self) -> None:
        self._nft = nftables.Nftables()
        self._nft.set_json_output(True)
        self._lock = threading.Lock()

    def apply(self, commands: Sequence[Command]) -> None:
        """Carry out all commands atomically; raise NetconfigError with nft's words and change nothing otherwise."""
        with self._lock:
            code, _, error = self._nft.json_cmd({"nftables": [{"metainfo": {"json_schema_version": 1}}, *commands]})
        if code:
            raise NetconfigError(f"nftables refused the rules: {_first_line(error)}", "nft list ruleset")

    def list(self, what: str) -> list[Command]:
        """Return the objects of an nft list command such as `table inet NAME`; none when it does not exist."""
        with self._lock:
            code, output, error = self._nft.cmd(f"list {what}")
        if code and "No such file or directory" in error:
            return []
        if code:
            raise NetconfigError(f"nftables cannot be asked: {_first_line(error)}", "nft list ruleset")
        return list(_parse(output))


def _parse(output: str) -> Sequence[Command]:
    objects: list[Command] = json.loads(output)["nftables"] if output else []
    return [entry for entry in objects if "metainfo" not in entry]


def _first_line(error: str) -> str:
    lines = [line for line in error.strip().splitlines() if line.strip()]
    return lines[0] if lines else "no reason given"
