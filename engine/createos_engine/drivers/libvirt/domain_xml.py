"""The domain XML of a machine (design 6), as a pure function."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

from createos_engine.drivers.hypervisor import DataDisk, Machine
from createos_engine.words import Accelerator

NAMESPACE = "urn:createos:sandbox:1"
_QEMU_NAMESPACE = "http://libvirt.org/schemas/domain/qemu/1.0"
CHANNEL_NAME = "createos.agent.0"
ROOT_DISK, _TOOLS_DISK = "vda", "vdt"
_DATA_DISKS = tuple(f"vd{letter}" for letter in "bcdefghi")
"""As many as there are spare ports."""
# Disk, network card, channel, balloon and random numbers sit in ports of their own; the spare ones are for hotplug.
_OWN_PORTS, SPARE_PORTS = 5, 8
# Measured to shorten the boot under emulation (design 18); all of it is harmless under KVM.
DEFAULT_CMDLINE = (
    "console=ttyS0 quiet loglevel=0 tsc=reliable no_timer_check rcupdate.rcu_expedited=1 i8042.noaux i8042.nokbd "
    "cryptomgr.notests random.trust_cpu=on panic=-1 createos.root=/dev/vda"
)
_QUOTA_PERIOD_US = 100_000


def render(machine: Machine, qemu_binary: str) -> str:
    """Return the XML, indented and in a fixed order."""
    domain = ET.Element("domain", type="kvm" if machine.accelerator is Accelerator.KVM else "qemu")
    for tag, text in (("name", machine.name), ("uuid", machine.uuid), ("genid", machine.genid)):
        ET.SubElement(domain, tag).text = text
    ET.SubElement(domain, "title").text = machine.title
    _metadata(domain, machine)
    ET.SubElement(domain, "memory", unit="MiB").text = str(machine.mem_mib)
    ET.SubElement(domain, "vcpu", placement="static").text = str(machine.vcpu)
    if machine.cpu_quota_pct:
        tune = ET.SubElement(domain, "cputune")
        ET.SubElement(tune, "period").text = str(_QUOTA_PERIOD_US)
        ET.SubElement(tune, "quota").text = str(_QUOTA_PERIOD_US * machine.cpu_quota_pct // 100 // machine.vcpu)
    _boot(domain, machine)
    # A guest that restarts would boot outside the engine's sight: its end is an end, whatever the guest calls it.
    for event in ("on_poweroff", "on_reboot", "on_crash"):
        ET.SubElement(domain, event).text = "destroy"
    _devices(domain, machine, qemu_binary)
    _capabilities(domain)
    ET.indent(domain)
    return ET.tostring(domain, encoding="unicode") + "\n"


def _metadata(domain: ET.Element, machine: Machine) -> None:
    ET.register_namespace("createos", NAMESPACE)
    attributes = {"instance": machine.instance, "id": machine.sandbox_id}
    ET.SubElement(ET.SubElement(domain, "metadata"), f"{{{NAMESPACE}}}sandbox", attributes)


def _boot(domain: ET.Element, machine: Machine) -> None:
    system = ET.SubElement(domain, "os")
    ET.SubElement(system, "type", arch="x86_64", machine="q35").text = "hvm"
    ET.SubElement(system, "kernel").text = str(machine.kernel)
    ET.SubElement(system, "initrd").text = str(machine.initramfs)
    ET.SubElement(system, "cmdline").text = machine.cmdline
    features = ET.SubElement(domain, "features")
    ET.SubElement(features, "acpi")
    ET.SubElement(features, "apic")
    if machine.accelerator is Accelerator.KVM:
        ET.SubElement(domain, "cpu", mode="host-passthrough", migratable="on")
    ET.SubElement(domain, "clock", offset="utc")


def _capabilities(domain: ET.Element) -> None:
    """Let libvirt read the CPU's features as two words: without it, it asks QEMU some 390 questions at every start."""
    ET.register_namespace("qemu", _QEMU_NAMESPACE)
    capabilities = ET.SubElement(domain, f"{{{_QEMU_NAMESPACE}}}capabilities")
    ET.SubElement(capabilities, f"{{{_QEMU_NAMESPACE}}}del", capability="cpu-unavailable-features")


def _devices(domain: ET.Element, machine: Machine, qemu_binary: str) -> None:
    devices = ET.SubElement(domain, "devices")
    ET.SubElement(devices, "emulator").text = qemu_binary
    _disk(devices, machine)
    for disk, name in zip(machine.data_disks, _DATA_DISKS, strict=False):
        devices.append(_data_disk(disk, name))
    ET.SubElement(devices, "controller", type="usb", model="none")
    # libvirt refuses spare ports without the root they hang on being named
    ET.SubElement(devices, "controller", type="pci", index="0", model="pcie-root")
    for index in range(1, _OWN_PORTS + SPARE_PORTS + 1):
        ET.SubElement(devices, "controller", type="pci", index=str(index), model="pcie-root-port")
    devices.append(_interface(machine.mac, machine.tap))
    serial = ET.SubElement(devices, "serial", type="file")
    # Appending lets the engine cut the log short while QEMU has it open (services/console.py).
    ET.SubElement(serial, "source", path=str(machine.console), append="on")
    ET.SubElement(serial, "target", port="0")
    channel = ET.SubElement(devices, "channel", type="unix")
    ET.SubElement(channel, "source", mode="bind", path=str(machine.channel))
    ET.SubElement(channel, "target", type="virtio", name=CHANNEL_NAME)
    # The balloon is never inflated (the guest rebooted in a trial): it is here for free page reporting alone.
    ET.SubElement(devices, "memballoon", model="virtio", freePageReporting="on")
    rng = ET.SubElement(devices, "rng", model="virtio")
    ET.SubElement(rng, "backend", model="random").text = "/dev/urandom"


def _disk(devices: ET.Element, machine: Machine) -> None:
    disk = ET.SubElement(devices, "disk", type="file", device="disk")
    ET.SubElement(disk, "driver", name="qemu", type="qcow2", cache="writeback", discard="unmap", detect_zeroes="unmap")
    ET.SubElement(disk, "source", file=str(machine.overlay))
    ET.SubElement(disk, "target", dev=ROOT_DISK, bus="virtio")


def interface_xml(mac: str, tap: str) -> str:
    """Return a network card by itself, as libvirt plugs and unplugs it."""
    return ET.tostring(_interface(mac, tap), encoding="unicode")


def tools_disk_xml(image: Path, serial: str) -> str:
    """Return a read-only disk by itself, as libvirt plugs it. Its file is shared: libvirt must not change its owner."""
    return ET.tostring(_data_disk(DataDisk(image, serial, readonly=True), _TOOLS_DISK), encoding="unicode")


def _data_disk(wanted: DataDisk, name: str) -> ET.Element:
    disk = ET.Element("disk", type="file", device="disk")
    driver = ET.SubElement(disk, "driver", name="qemu", type="raw")
    source = ET.SubElement(disk, "source", file=str(wanted.file))
    ET.SubElement(disk, "target", dev=name, bus="virtio")
    if wanted.readonly:
        # shared, so libvirt must not change its owner
        ET.SubElement(source, "seclabel", model="dac", relabel="no")
        ET.SubElement(disk, "readonly")
    else:
        driver.set("discard", "unmap")
    ET.SubElement(disk, "serial").text = wanted.serial
    return disk


def has_disk(xml: str, serial: str) -> bool:
    """Tell whether a domain has a disk with this serial number."""
    return serial in (found.text for found in ET.fromstring(xml).iterfind("./devices/disk/serial"))


def macs(xml: str) -> frozenset[str]:
    """Return the MACs of all network cards of a domain."""
    found = ET.fromstring(xml).iterfind("./devices/interface/mac")
    return frozenset(mac.get("address", "") for mac in found)


def _interface(mac: str, tap: str) -> ET.Element:
    interface = ET.Element("interface", type="ethernet")
    ET.SubElement(interface, "mac", address=mac)
    ET.SubElement(interface, "target", dev=tap, managed="no")
    ET.SubElement(interface, "model", type="virtio")
    ET.SubElement(interface, "rom", enabled="no")
    return interface
