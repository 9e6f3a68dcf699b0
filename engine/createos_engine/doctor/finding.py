"""What a check found, and how findings are shown to people and to programs."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How much a finding matters: with `warn` sandboxes work, less well than they could; with `FAIL` they do not."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Finding:
    """What one check found: `detail` is a sentence, `fix` the command or step that mends it, empty when all is well."""

    check: str
    verdict: Verdict
    detail: str
    fix: str = ""

    @property
    def ok(self) -> bool:
        """Whether creates can work as far as this check knows."""
        return self.verdict is not Verdict.FAIL


def passed(check: str, detail: str) -> Finding:
    """Return the finding that nothing needs to be done."""
    return Finding(check, Verdict.OK, detail)


def warned(check: str, detail: str, fix: str) -> Finding:
    """Return the finding that something works less well than it could."""
    return Finding(check, Verdict.WARN, detail, fix)


def failed(check: str, detail: str, fix: str) -> Finding:
    """Return the finding that creates cannot work like this."""
    return Finding(check, Verdict.FAIL, detail, fix)


def exit_code(findings: Iterable[Finding]) -> int:
    """Return 0 if no finding is a FAIL, else 1."""
    return int(not all(finding.ok for finding in findings))


def as_json(findings: Sequence[Finding]) -> str:
    """Return the findings for programs: `ok` for the whole, then each with check, verdict (lower case), detail, fix."""
    rows = [
        {"check": found.check, "verdict": found.verdict.value.lower(), "detail": found.detail, "fix": found.fix}
        for found in findings
    ]
    return json.dumps({"ok": exit_code(findings) == 0, "findings": rows}, indent=2) + "\n"


def render(findings: Sequence[Finding], width: int = 100) -> str:
    """Return a table for people, at most *width* columns wide except for fixes, which stay whole to be copied."""
    column = max((len(found.check) for found in findings), default=0)
    lines = [line for found in findings for line in _lines(found, column, width)]
    return "".join(f"{line}\n" for line in [*lines, "", _summary(findings)])


def _lines(found: Finding, column: int, width: int) -> list[str]:
    indent = " " * (column + 8)
    head = f"{found.verdict:<4}  {found.check:<{column}}  "
    detail = textwrap.wrap(found.detail, width, initial_indent=head, subsequent_indent=indent, break_long_words=False)
    return [*detail, f"{indent}fix: {found.fix}"] if found.fix else detail


def _summary(findings: Sequence[Finding]) -> str:
    broken = sum(found.verdict is Verdict.FAIL for found in findings)
    lesser = sum(found.verdict is Verdict.WARN for found in findings)
    if broken:
        return f"{broken} of {len(findings)} checks failed: sandboxes will not work until they are mended."
    warnings = f", with {lesser} warning{'s' * (lesser > 1)}" if lesser else ""
    return f"Sandboxes can run here{warnings}."
