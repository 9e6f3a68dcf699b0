"""Checks run at once, each with a deadline; one that breaks does not hide the others."""

from __future__ import annotations

import asyncio
import time

from createos_engine.doctor.check import Check, blocking, quick, run
from createos_engine.doctor.finding import Finding, Verdict, passed
from createos_engine.errors import HostFailed

FINE = passed("fine", "all is well")


async def forever() -> Finding:
    await asyncio.Event().wait()
    raise AssertionError


def breaking(exc: Exception) -> Check:
    def ask() -> Finding:
        raise exc

    return quick("broken", ask)


async def test_answers_come_in_the_order_of_the_questions() -> None:
    async def slow() -> Finding:
        await asyncio.sleep(0)
        return passed("slow", "at last")

    found = await run([Check("slow", slow), quick("fine", lambda: FINE)])

    assert [finding.check for finding in found] == ["slow", "fine"]


async def test_a_check_without_an_answer_is_given_up_and_the_others_stay() -> None:
    slow, fine = await run([Check("stuck", forever, deadline_s=0.01), quick("fine", lambda: FINE)])

    assert slow.verdict is Verdict.FAIL
    assert "0.01 s" in slow.detail
    assert fine == FINE


async def test_an_expected_failure_keeps_its_sentence_and_its_remedy() -> None:
    (found,) = await run([breaking(HostFailed("libvirt refused", hint="start libvirtd"))])

    assert found == Finding("broken", Verdict.FAIL, "libvirt refused", "start libvirtd")


async def test_what_only_root_may_see_is_asked_for_with_sudo() -> None:
    (found,) = await run([breaking(PermissionError(13, "Permission denied"))])

    assert found.verdict is Verdict.FAIL
    assert found.fix == "sudo createosd doctor"


async def test_a_bug_in_a_check_is_a_finding_that_names_it() -> None:
    (found,) = await run([breaking(ZeroDivisionError("oops"))])

    assert found.verdict is Verdict.FAIL
    assert "ZeroDivisionError" in found.detail


async def test_blocking_checks_run_at_the_same_time() -> None:
    def wait() -> Finding:
        time.sleep(0.2)
        return FINE

    began = time.monotonic()
    await run([blocking("fine", wait) for _ in range(4)])

    assert time.monotonic() - began < 0.6
