"""The domain XML of a save image, made into that of another machine: everything by which two machines differ."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from createos_engine.drivers.hypervisor import Machine, UnusableImage
from createos_engine.drivers.libvirt.domain_xml import CHANNEL_NAME, NAMESPACE

_CHANNEL = f"devices/channel/target[@name='{CHANNEL_NAME}']/.."


def redirect(xml: str, machine: Machine) -> str:
    """Return *xml* with the name, ids, files and network interface of *machine*; devices stay as they were saved.

    QEMU refuses a stream that has other devices than it was started with, so none is added or taken away.
    """
    try:
        domain = ET.fromstring(xml)
    except ET.ParseError as exc:
        raise UnusableImage(f"the XML in its header is damaged: {exc}") from exc
    for tag, text in (("name", machine.name), ("uuid", machine.uuid), ("genid", machine.genid)):
        _one(domain, tag).text = text
    _one(domain, "title").text = machine.title
    ET.register_namespace("createos", NAMESPACE)
    metadata = _one(domain, f"metadata/{{{NAMESPACE}}}sandbox")
    metadata.attrib.update({"instance": machine.instance, "id": machine.sandbox_id})
    _one(domain, "os/kernel").text = str(machine.kernel)
    _one(domain, "os/initrd").text = str(machine.initramfs)
    _one(domain, "devices/disk/target[@dev='vda']/../source").set("file", str(machine.overlay))
    _one(domain, "devices/serial[@type='file']/source").set("path", str(machine.console))
    for stale in domain.findall("devices/console/source"):
        stale.set("path", str(machine.console))
    _one(domain, f"{_CHANNEL}/source").set("path", str(machine.channel))
    _one(domain, "devices/interface/mac").set("address", machine.mac)
    _one(domain, "devices/interface/target").set("dev", machine.tap)
    return ET.tostring(domain, encoding="unicode") + "\n"


def _one(domain: ET.Element, path: str) -> ET.Element:
    found = domain.find(path)
    if found is None:
        raise UnusableImage(f"the XML in its header has no {path}")
    return found
