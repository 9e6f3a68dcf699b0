"""Everything that a hostile guest tries, and what it may do: in a namespace and, as a program, in a real guest.

Frames are only sent (`forgeries`); each conversation says how it ended. Standard library only, since it runs in guests.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import sys
import time

from tests.host.forgeries import (
    ALLOWED,
    ALLOWED_PORT,
    FORBIDDEN_V4,
    GATEWAY_V4,
    LIMITED,
    OTHER,
    SHARED,
    Place,
    send_frames,
)

RULES = (ALLOWED, f"{LIMITED}:{ALLOWED_PORT}", "one.shared.test", "*.wild.test", "rebind.test")
END = b"everything was said"
"""What is sent to an allowed address after everything else."""

WHEN_DOWN = "--when-down"

_PATIENCE_S = 20.0
BY_TALKING = {
    "a forbidden name": "NXDOMAIN",
    "a private or host address behind an allowed name (rebinding)": "no address",
    "a forbidden name on an allowed address (TLS)": "refused",
    "a forbidden name on an allowed address (HTTP Host)": "403",
    "a forbidden name in a later request of a connection": "200, 403",
    "a connection to an address that no rule lists": "refused",
}
MAY = {
    "a host by its address": "200",
    "a host by its name": "203.0.113.22, 200",
    "a host by its name over TLS": "HTTP/1.1 200 OK",
    "a wildcard": "203.0.113.23, 200",
    "a port that a rule is limited to": "200",
}
WITHOUT_DAEMON = {
    "a forbidden name": "refused",
    "a private or host address behind an allowed name (rebinding)": "refused",
    "a forbidden name on an allowed address (TLS)": "refused",
    "a forbidden name on an allowed address (HTTP Host)": "refused",
    "a forbidden name in a later request of a connection": "refused",
    "a connection to an address that no rule lists": "refused",
    "a host by its address": "200",
    "a host by its name": "refused, refused",
    "a host by its name over TLS": "refused",
    "a wildcard": "refused, refused",
    "a port that a rule is limited to": "200",
}
"""While no daemon runs nobody is asked for names, and what rules allow by name waits for the next daemon."""


def expected(*, daemon: bool) -> dict[str, str]:
    """Return how every conversation must end."""
    return {**BY_TALKING, **MAY} if daemon else WITHOUT_DAEMON


def allowed(*, daemon: bool) -> list[str]:
    """Return what must work."""
    return [name for name, end in MAY.items() if expected(daemon=daemon)[name] == end]


def talk() -> dict[str, str]:
    """Hold every conversation and return how each ended."""
    ends = {
        "a host by its address": http(ALLOWED, ALLOWED),
        "a host by its name": f"{lookup('one.shared.test')}, {http(SHARED, 'one.shared.test')}",
        "a host by its name over TLS": tls(SHARED, "one.shared.test"),
        "a wildcard": f"{lookup('www.wild.test')}, {http(OTHER, 'www.wild.test')}",
        "a port that a rule is limited to": http(LIMITED, LIMITED, port=ALLOWED_PORT),
        "a forbidden name": lookup("forbidden.test"),
        "a private or host address behind an allowed name (rebinding)": lookup("rebind.test"),
        "a forbidden name on an allowed address (TLS)": tls(SHARED, "two.shared.test"),
        "a forbidden name on an allowed address (HTTP Host)": http(SHARED, "two.shared.test"),
        "a forbidden name in a later request of a connection": http(SHARED, "one.shared.test", "two.shared.test"),
        "a connection to an address that no rule lists": http(FORBIDDEN_V4, "x"),
    }
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(END, (ALLOWED, ALLOWED_PORT))
    return ends


def http(address: str, *names: str, port: int = 80) -> str:
    """Return the codes of the answers to a request for each name, on one connection."""
    codes = []
    try:
        with (
            socket.create_connection((address, port), timeout=_PATIENCE_S) as client,
            client.makefile("rb") as reader,
        ):
            for name in names:
                client.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
                codes.append(reader.readline().split()[1].decode())
                length = 0
                while line := reader.readline().strip().lower():
                    length = int(line.split(b":")[1]) if line.startswith(b"content-length") else length
                reader.read(length)
    except ConnectionError:
        codes.append("refused")
    except (OSError, IndexError) as exc:
        codes.append(str(exc) or type(exc).__name__)
    return ", ".join(codes)


def tls(address: str, name: str) -> str:
    """Return the first line that comes over TLS, or that the name was refused."""
    # Without the machine's authorities, which take long to read in a guest under emulation.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((address, 443), timeout=_PATIENCE_S) as client,
            context.wrap_socket(client, server_hostname=name) as secure,
        ):
            secure.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            return secure.recv(1024).decode().splitlines()[0]
    except ssl.SSLError as exc:
        return "refused" if exc.reason == "TLSV1_UNRECOGNIZED_NAME" else str(exc)
    except ConnectionError:
        return "refused"
    except OSError as exc:
        return str(exc)


def lookup(name: str) -> str:
    """Return the addresses the gateway gives for a name, or how it declines."""
    labels = b"".join(struct.pack("B", len(label)) + label.encode() for label in name.split("."))
    question = struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(_PATIENCE_S)
        try:
            # Connected, as glibc does it: who refuses is heard.
            client.connect((GATEWAY_V4, 53))
            client.send(question)
            answer = client.recv(4096)
        except TimeoutError:
            return "silence"
        except OSError:
            return "refused"
    if answer[3] & 15:
        return {3: "NXDOMAIN", 2: "SERVFAIL"}.get(answer[3] & 15, f"code {answer[3] & 15}")
    count = struct.unpack("!H", answer[6:8])[0]
    return socket.inet_ntoa(answer[-4:]) if count else "no address"


def main() -> None:
    """Try everything once, or once no daemon answers any more, and print how the conversations ended."""
    place = json.loads(sys.argv[1])
    while sys.argv[2:] == [WHEN_DOWN] and lookup("one.shared.test") != "refused":
        time.sleep(0.1)
    send_frames(Place(**{name: tuple(value) if isinstance(value, list) else value for name, value in place.items()}))
    sys.stdout.write(json.dumps(talk()))


if __name__ == "__main__":
    main()
