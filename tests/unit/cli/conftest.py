"""A command line without a process: streams in memory, a server that is a function."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from createos_cli.main import main
from createos_cli.profile import Endpoint
from createos_cli.surroundings import Surroundings

from tests.unit.cli.fake_api import FakeApi

GOLDEN = Path(__file__).parent / "golden"


@dataclass(frozen=True)
class Ran:
    """How a run ended: exit code, stdout, stderr."""

    code: int
    out: str
    err: str
    raw: bytes

    @property
    def document(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


class Cli:
    """Runs command lines against one fake server; *served* remembers which endpoints were asked for."""

    def __init__(self, api: FakeApi, home: Path) -> None:
        self.api = api
        self.home = home
        self.served: list[Endpoint] = []

    @property
    def token_file(self) -> Path:
        return self.home / ".createos" / ".token"

    def __call__(
        self,
        *argv: str,
        terminal: bool = False,
        stdin: bytes | None = None,
        environ: Mapping[str, str] | None = None,
        columns: int | None = None,
    ) -> Ran:
        out, err = io.BytesIO(), io.BytesIO()
        around = Surroundings(
            environ=environ or {},
            home=self.home,
            stdin=io.BytesIO(stdin or b""),
            stdout=out,
            stderr=err,
            stdin_is_piped=stdin is not None and not terminal,
            stdout_is_terminal=terminal,
            stderr_is_terminal=False,
            columns=columns,
            connect=self._connect,
        )
        code = main(argv, around)
        return Ran(
            code, out.getvalue().decode(errors="replace"), err.getvalue().decode(errors="replace"), out.getvalue()
        )

    def _connect(self, endpoint: Endpoint) -> FakeApi:
        self.served.append(endpoint)
        return self.api


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def cli(api: FakeApi, tmp_path: Path) -> Cli:
    return Cli(api, tmp_path)


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compare a text with an expected file; `make golden` rewrites the file instead."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if os.environ.get("GOLDEN") == "rewrite":
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")

    return compare


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Local times in expected texts are UTC."""
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
