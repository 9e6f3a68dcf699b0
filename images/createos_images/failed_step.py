"""Why a build failed, in a sentence, from the last line that buildah or podman printed."""

from __future__ import annotations

import re

_FAILED_STEP = re.compile(r'building at STEP "(.*)": (?:error )?while running runtime: exit status (\d+)')
_LONGEST_REASON = 300


def explained(last: str) -> str:
    """Return which step failed and with which exit code, or else the line itself."""
    text = last.removeprefix("Error: ").removeprefix("error ")
    if "no space left on device" in text:
        return "the build wrote more than it may"
    if match := _FAILED_STEP.fullmatch(text):
        return f"the step {match[1]} failed with exit code {match[2]}"
    return text[:_LONGEST_REASON] or "the build ended without saying why"
