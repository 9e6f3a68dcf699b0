"""What a check found is shown to people in a table, to programs as JSON, and to shells as an exit code."""

from __future__ import annotations

import json

from createos_engine.doctor.finding import Finding, as_json, exit_code, failed, passed, render, warned

FINE = passed("root", "running as root")
LESSER = warned("accelerator", "guests run under emulation", "modprobe kvm_intel")
BROKEN = failed("tun", "there is no /dev/net/tun", "modprobe tun")


def test_only_a_failure_makes_the_exit_code_one() -> None:
    assert exit_code([FINE, LESSER]) == 0
    assert exit_code([FINE, BROKEN]) == 1


def test_the_table_aligns_details_and_gives_each_fix_a_line_of_its_own() -> None:
    lines = render([FINE, LESSER, BROKEN]).splitlines()

    assert lines == [
        "ok    root         running as root",
        "warn  accelerator  guests run under emulation",
        "                   fix: modprobe kvm_intel",
        "FAIL  tun          there is no /dev/net/tun",
        "                   fix: modprobe tun",
        "",
        "1 of 3 checks failed: sandboxes will not work until they are mended.",
    ]


def test_long_details_wrap_and_long_fixes_stay_whole() -> None:
    fix = "install " + "package " * 30

    lines = render([failed("x", "word " * 40, fix.strip())], width=60).splitlines()

    assert max(len(line) for line in lines if "fix:" not in line and "checks" not in line) <= 60
    assert sum("fix:" in line for line in lines) == 1


def test_a_machine_with_warnings_alone_can_run_sandboxes() -> None:
    assert render([FINE, LESSER]).endswith("Sandboxes can run here, with 1 warning.\n")
    assert render([FINE]).endswith("Sandboxes can run here.\n")


def test_json_carries_every_field_and_the_sum() -> None:
    shown = json.loads(as_json([FINE, BROKEN]))

    assert shown == {
        "ok": False,
        "findings": [
            {"check": "root", "verdict": "ok", "detail": "running as root", "fix": ""},
            {"check": "tun", "verdict": "fail", "detail": "there is no /dev/net/tun", "fix": "modprobe tun"},
        ],
    }


def test_a_warning_counts_as_ok() -> None:
    found: list[Finding] = [FINE, LESSER, BROKEN]

    assert [finding.ok for finding in found] == [True, True, False]
