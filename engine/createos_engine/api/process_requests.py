"""Wire models of requests about managed processes (wire-api 8)."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

from pydantic import Field, StrictInt, StrictStr, field_validator, model_validator

from createos_engine.api.requests import Environment, Lenient, Text
from createos_engine.process import NewProcess, ProcessSignal
from createos_engine.words import Terminal

_MOST = 65_535
Extent = Annotated[StrictInt, Field(ge=0, le=_MOST)]


class PtyRequest(Lenient):
    """A terminal; what is left out or 0 is 24 rows and 80 columns."""

    rows: Extent | None = None
    cols: Extent | None = None

    def meaning(self) -> Terminal:
        """Return the terminal, as the services know it."""
        usual = Terminal()
        return Terminal(rows=self.rows or usual.rows, cols=self.cols or usual.cols)


class ProcessRequest(Lenient):
    """POST /v1/sandboxes/{id}/processes. Its variables are free, unlike those of an exec (wire-api 8.2)."""

    cmd: Text | None = None
    args: list[Text] | None = None
    cwd: Text | None = None
    env: Environment | None = None
    pty: PtyRequest | None = None

    @field_validator("cwd")
    @classmethod
    def _cwd_is_absolute(cls, cwd: str | None) -> str | None:
        if cwd and not cwd.startswith("/"):
            raise ValueError("cwd must be an absolute path, such as /srv/app")
        return cwd

    @model_validator(mode="after")
    def _something_runs(self) -> ProcessRequest:
        if self.args and not self.cmd:
            raise ValueError("args need a cmd to be given to")
        return self

    def meaning(self) -> NewProcess:
        """Return the process, as the services know it."""
        return NewProcess(
            cmd=self.cmd or "",
            args=tuple(self.args or ()),
            cwd=self.cwd or "",
            env=dict(self.env or {}),
            terminal=self.pty.meaning() if self.pty else None,
        )


class InputRequest(Lenient):
    """POST …/input."""

    data_base64: StrictStr

    @field_validator("data_base64")
    @classmethod
    def _is_base64(cls, text: str) -> str:
        try:
            base64.b64decode(text, validate=True)
        except (ValueError, binascii.Error) as exc:
            raise ValueError("data_base64 is not standard base64") from exc
        return text

    def meaning(self) -> bytes:
        """Return the bytes."""
        return base64.b64decode(self.data_base64)


class SizeRequest(Lenient):
    """POST …/resize."""

    rows: Annotated[StrictInt, Field(ge=1, le=_MOST)]
    cols: Annotated[StrictInt, Field(ge=1, le=_MOST)]


class SignalRequest(Lenient):
    """POST …/signal."""

    signal: ProcessSignal

    @field_validator("signal", mode="before")
    @classmethod
    def _is_known(cls, name: object) -> object:
        if not isinstance(name, str) or name not in list(ProcessSignal):
            raise ValueError(f"signal must be one of {', '.join(ProcessSignal)}")
        return name
