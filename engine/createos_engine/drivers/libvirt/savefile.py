"""The header of libvirt's save images (libvirt 9.0, src/qemu/qemu_saveimage.h), read and written without libvirt.

| bytes | field | |
|---|---|---|
| 16 | magic | `LibvirtQemudSave`; `LibvirtQemudPart` while libvirt is still writing |
| 4 | version | 2 |
| 4 | data_len | bytes between this header and QEMU's own stream |
| 4 | was_running | whether the guest ran when it was saved |
| 4 | compressed | 0: raw |
| 4 | cookieOffset | where in the data the cookie begins; 0: there is none |
| 56 | unused | zero |

All numbers are little endian on x86-64. The data is the domain XML and NUL, then the cookie and NUL, then zeros.
libvirt refuses to restore under another name, UUID or MAC; it believes whatever XML the header has, so that is where
forks are made.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from createos_engine.drivers.hypervisor import UnusableImage

COMPLETE, UNFINISHED = b"LibvirtQemudSave", b"LibvirtQemudPart"
VERSION = 2
_HEADER = struct.Struct("<16sIIIII56x")
HEADER_BYTES = _HEADER.size
# libvirt itself refuses no length; a domain XML has 10 KB and libvirt leaves 64 KiB of room behind it.
MOST_DATA_BYTES = 4 * 2**20
MOST_START_BYTES = HEADER_BYTES + MOST_DATA_BYTES


@dataclass(frozen=True)
class SaveHeader:
    """What stands before QEMU's stream. `data_bytes` is the room for XML and cookie, `xml` and `cookie` are text."""

    xml: str
    cookie: str
    was_running: bool
    data_bytes: int

    @property
    def stream_offset(self) -> int:
        """Where QEMU's stream begins in the file."""
        return HEADER_BYTES + self.data_bytes

    def with_xml(self, xml: str) -> SaveHeader:
        """Return the header with another XML: of the same length when that fits, else longer."""
        changed = replace(self, xml=xml)
        return replace(changed, data_bytes=max(self.data_bytes, len(changed._data())))

    def encode(self, magic: bytes = COMPLETE) -> bytes:
        """Return the bytes up to QEMU's stream."""
        data = self._data()
        offset = len(self.xml.encode()) + 1 if self.cookie else 0
        head = _HEADER.pack(magic, VERSION, self.data_bytes, self.was_running, 0, offset)
        return head + data.ljust(self.data_bytes, b"\0")

    def _data(self) -> bytes:
        return b"".join(text.encode() + b"\0" for text in (self.xml, self.cookie) if text)


def data_bytes(fixed: bytes) -> int:
    """Return how many bytes follow the fixed part of a header; raise UnusableImage with what is wrong with it."""
    if len(fixed) < HEADER_BYTES:
        raise UnusableImage("it is shorter than its header")
    magic, version, length, _, compressed, cookie = _HEADER.unpack(fixed[:HEADER_BYTES])
    if magic == UNFINISHED:
        raise UnusableImage("it was never finished")
    if magic != COMPLETE:
        raise UnusableImage("it does not begin as a save image of libvirt does")
    if version != VERSION:
        raise UnusableImage(f"it has version {version}, and this engine knows version {VERSION}")
    if compressed:
        raise UnusableImage("it is compressed, and only raw ones can be used")
    if not 0 < length <= MOST_DATA_BYTES or cookie >= length:
        raise UnusableImage("its header is damaged: the lengths in it are not possible")
    return int(length)


def decode(start: bytes) -> SaveHeader:
    """Return the header at the beginning of a file; raise UnusableImage. *start* may be longer than the header."""
    length = data_bytes(start)
    data = start[HEADER_BYTES : HEADER_BYTES + length]
    if len(data) < length:
        raise UnusableImage("it ends inside its header")
    _, _, _, was_running, _, cookie = _HEADER.unpack(start[:HEADER_BYTES])
    return SaveHeader(
        xml=_text(data, 0, "XML"),
        cookie=_text(data, cookie, "cookie") if cookie else "",
        was_running=bool(was_running),
        data_bytes=length,
    )


def _text(data: bytes, offset: int, what: str) -> str:
    end = data.find(b"\0", offset)
    if end <= offset:
        raise UnusableImage(f"its header is damaged: the {what} does not end, or is empty")
    try:
        return data[offset:end].decode()
    except UnicodeDecodeError:
        raise UnusableImage(f"its header is damaged: the {what} is no text") from None
