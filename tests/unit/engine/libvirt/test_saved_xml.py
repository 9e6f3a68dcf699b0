"""The XML of a fork: every trace of the parent is replaced, every device stays."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from createos_engine.drivers.hypervisor import Machine, UnusableImage
from createos_engine.drivers.libvirt.domain_xml import render, tools_disk_xml
from createos_engine.drivers.libvirt.saved_xml import redirect
from createos_engine.words import Accelerator

PARENT = Machine(
    name="createos-ab12-sb-parent",
    uuid="11111111-1111-1111-1111-111111111111",
    instance="ab12",
    sandbox_id="sb-parent",
    title="parent (busybox:1)",
    vcpu=1,
    mem_mib=256,
    accelerator=Accelerator.TCG,
    kernel=Path("/cache/old/vmlinux"),
    initramfs=Path("/cache/old.img"),
    cmdline="quiet",
    overlay=Path("/state/sb-parent/overlay.qcow2"),
    channel=Path("/run/sb-parent.sock"),
    console=Path("/state/sb-parent/console.log"),
    tap="cab12-1",
    mac="02:00:00:00:00:01",
    genid="11111111-0000-0000-0000-000000000000",
)
CHILD = replace(
    PARENT,
    name="createos-ab12-sb-child",
    uuid="22222222-2222-2222-2222-222222222222",
    sandbox_id="sb-child",
    title='child & "co" <x>',
    kernel=Path("/cache/new/vmlinux"),
    initramfs=Path("/cache/new.img"),
    overlay=Path("/state/sb-child/overlay.qcow2"),
    channel=Path("/run/sb-child.sock"),
    console=Path("/state/sb-child/console.log"),
    tap="cab12-2",
    mac="02:00:00:00:00:02",
    genid="22222222-0000-0000-0000-000000000000",
)
SAVED = render(PARENT, "/usr/bin/qemu")


def test_a_fork_has_nothing_of_its_parent() -> None:
    xml = redirect(SAVED, CHILD)

    assert not re.search(r"parent|1111|old|cab12-1|00:01", xml)


def test_it_is_what_a_new_machine_of_that_kind_would_have() -> None:
    def canonical(xml: str) -> list[str]:
        return sorted(re.sub(r"\s+", " ", xml).replace("> <", ">\n<").splitlines())

    assert canonical(redirect(SAVED, CHILD)) == canonical(render(CHILD, "/usr/bin/qemu"))


@pytest.mark.parametrize("damage", ["<domain", "<domain/>", SAVED.replace("createos.agent.0", "other")])
def test_an_xml_that_is_not_ours_is_refused(damage: str) -> None:
    with pytest.raises(UnusableImage, match="XML in its header"):
        redirect(damage, CHILD)


def test_the_tools_disk_stays_the_file_that_it_was() -> None:
    plugged = tools_disk_xml(Path("/cache/tools/ab.img"), "createos-tools")
    saved = SAVED.replace("</devices>", f"{plugged}</devices>")

    assert 'file="/cache/tools/ab.img"' in redirect(saved, CHILD)
