"""A DNS server of the internet of tests: it answers from a table, on UDP and TCP, in a thread of its own."""

from __future__ import annotations

import socket
import struct
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

from tests.host.answering import Answering

Records = dict[str, list[str]]
_MOST_UDP_BYTES = 1232


class DnsServer(Answering):
    """`records` are lines such as `A 203.0.113.10` by name; CNAMEs are followed. `asked` keeps the questions."""

    def __init__(self, records: Records) -> None:
        self.records = records
        self.asked: list[str] = []
        self.silent = False
        self.ttl_s = 300
        super().__init__()

    def listen(self, address: str) -> None:
        """Answer on an address of the namespace this thread is in."""
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            server = socket.socket(socket.AF_INET, kind)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind((address, 53))
            if kind == socket.SOCK_STREAM:
                server.listen(16)
            self.keep(server)

    def _answer(self, server: Any) -> None:
        if server.type == socket.SOCK_DGRAM:
            wire, peer = server.recvfrom(4096)
            answer = self._reply(wire)
            if answer is not None and len(answer.to_wire(max_size=65535)) > _MOST_UDP_BYTES:
                answer.answer.clear()
                answer.flags |= dns.flags.TC
            if answer is not None:
                server.sendto(answer.to_wire(), peer)
            return
        connection, _ = server.accept()
        with connection:
            connection.settimeout(2)
            (length,) = struct.unpack("!H", _whole(connection, 2))
            answer = self._reply(_whole(connection, length))
            if answer is not None:
                wire = answer.to_wire(max_size=65535)
                connection.sendall(struct.pack("!H", len(wire)) + wire)

    def _reply(self, wire: bytes) -> dns.message.Message | None:
        question = dns.message.from_wire(wire)
        if self.silent:
            return None
        asked = question.question[0]
        name = asked.name.to_text(omit_final_dot=True)
        self.asked.append(f"{name} {asked.rdtype.name}")
        answer = dns.message.make_response(question)
        lines = self._chain(name.lower(), asked.rdtype.name)
        if name.lower() not in self.records:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        for owner, kind, values in lines:
            answer.answer.append(dns.rrset.from_text_list(f"{owner}.", self.ttl_s, "IN", kind, values))
        return answer

    def _chain(self, name: str, kind: str) -> list[tuple[str, str, list[str]]]:
        lines = [line.split(maxsplit=1) for line in self.records.get(name, [])]
        aliases = [value for one, value in lines if one == "CNAME"]
        if aliases and kind != "CNAME":
            return [(name, "CNAME", [f"{aliases[0]}."]), *self._chain(aliases[0], kind)]
        values = [value for one, value in lines if one == kind]
        return [(name, kind, values)] if values else []


def _whole(connection: socket.socket, size: int) -> bytes:
    data = connection.recv(size, socket.MSG_WAITALL)
    if len(data) < size:
        raise EOFError
    return data
