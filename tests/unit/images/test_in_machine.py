"""What is carried into the machine of a build: nothing but this, and Python's own library, may be needed there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from createos_images.in_machine import code


def test_the_code_of_a_build_needs_nothing_but_the_standard_library(tmp_path: Path) -> None:
    (tmp_path / "code.zip").write_bytes(code())
    program = "import sys; sys.path.insert(0, sys.argv[1]); import createos_images.in_machine as m; print(m.__file__)"

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, tmp_path / "code.zip"], capture_output=True, text=True, check=False
    )

    assert done.stdout.startswith(str(tmp_path)), done.stderr
