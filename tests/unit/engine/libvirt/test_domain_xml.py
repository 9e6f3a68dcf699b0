"""The domain XML: golden files for the whole, properties for what people and programs put into it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from createos_engine.drivers.hypervisor import DataDisk, Machine
from createos_engine.drivers.libvirt.domain_xml import DEFAULT_CMDLINE, NAMESPACE, has_disk, render, tools_disk_xml
from createos_engine.words import Accelerator
from hypothesis import given
from hypothesis import strategies as st

GOLDEN = Path(__file__).parent / "golden"
QEMU = "/usr/bin/qemu-system-x86_64"
MACHINE = Machine(
    name="createos-ab12-sb-01k5zq7m3v8w2x4y6z9abcdefg",
    uuid="019cbf7a-1e7b-4705-e913-c6fa54b6b5f0",
    instance="ab12",
    sandbox_id="sb-01k5zq7m3v8w2x4y6z9abcdefg",
    title="demo-box (busybox:1, s-1vcpu-256mb)",
    vcpu=1,
    mem_mib=256,
    accelerator=Accelerator.TCG,
    kernel=Path("/cache/vmlinux"),
    initramfs=Path("/cache/initramfs.img"),
    cmdline=DEFAULT_CMDLINE,
    overlay=Path("/state/sandboxes/sb-1/overlay.qcow2"),
    channel=Path("/run/channels/sb-1.sock"),
    console=Path("/state/sandboxes/sb-1/console.log"),
    tap="cab12-1",
    mac="02:c0:56:56:00:01",
    genid="6f1a3c9e-1111-4222-8333-444455556666",
)


@pytest.mark.parametrize(
    ("file", "machine"),
    [
        ("tcg.xml", MACHINE),
        ("kvm.xml", replace(MACHINE, accelerator=Accelerator.KVM, vcpu=4, mem_mib=4096, cpu_quota_pct=200)),
    ],
)
def test_the_whole_domain_is_as_expected(file: str, machine: Machine) -> None:
    rendered = render(machine, QEMU)
    if os.environ.get("GOLDEN"):
        (GOLDEN / file).write_text(rendered)

    assert rendered == (GOLDEN / file).read_text()


# What XML 1.0 can carry; control characters have no place in a title or a path of ours.
PRINTABLE = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Co", "Cn")), min_size=1)


@given(title=PRINTABLE, name=PRINTABLE)
def test_whatever_a_title_or_a_path_holds_it_stays_one_value(title: str, name: str) -> None:
    overlay = Path("/state") / name.replace("/", "_")

    domain = ET.fromstring(render(replace(MACHINE, title=title, overlay=overlay), QEMU))

    source = domain.find("./devices/disk/source")
    assert domain.findtext("title") == title
    assert source is not None
    assert source.get("file") == str(overlay)


def test_every_domain_says_whose_it_is() -> None:
    tag = ET.fromstring(render(MACHINE, QEMU)).find(f"./metadata/{{{NAMESPACE}}}sandbox")

    assert tag is not None
    assert (tag.get("instance"), tag.get("id")) == (MACHINE.instance, MACHINE.sandbox_id)


def test_the_tools_disk_is_read_only_and_keeps_its_owner() -> None:
    disk = ET.fromstring(tools_disk_xml(Path("/cache/tools/ab.img"), "createos-tools"))

    label = disk.find("./source/seclabel")
    assert disk.find("./readonly") is not None
    assert label is not None
    assert label.attrib == {"model": "dac", "relabel": "no"}


def test_a_disk_is_known_by_its_serial() -> None:
    domain = ET.fromstring(render(MACHINE, QEMU))
    before = has_disk(ET.tostring(domain, encoding="unicode"), "createos-tools")
    devices = domain.find("devices")
    assert devices is not None
    devices.append(ET.fromstring(tools_disk_xml(Path("/cache/tools/ab.img"), "createos-tools")))

    assert not before
    assert has_disk(ET.tostring(domain, encoding="unicode"), "createos-tools")


def test_data_disks_are_found_by_their_serial_and_only_those_may_be_written_that_say_so() -> None:
    disks = (
        DataDisk(Path("/cache/base.raw"), "base-0", readonly=True),
        DataDisk(Path("/b/r"), "result", readonly=False),
    )

    found = ET.fromstring(render(replace(MACHINE, data_disks=disks), QEMU)).findall("devices/disk")[1:]

    assert [disk.findtext("serial") for disk in found] == ["base-0", "result"]
    assert [disk.find("readonly") is not None for disk in found] == [True, False]
    assert [disk.find("source/seclabel[@relabel='no']") is not None for disk in found] == [True, False]
    assert len({disk.find("target").get("dev") for disk in found} | {"vda"}) == 3  # type: ignore[union-attr]
