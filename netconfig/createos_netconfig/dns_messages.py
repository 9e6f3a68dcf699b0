"""DNS messages from and for guests, as pure functions: what a question is, what of an answer a guest may see."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from createos_netconfig.rules import Address

UDP_PAYLOAD = 1232
_SMALLEST_UDP = 512
_HEADER_BYTES = 12
LONGEST_QUERY = 4096
_MOST_ADDRESSES = 64
_LONGEST_CHAIN = 16
_LONGEST_TTL_S = 86_400
_ADDRESSES = {dns.rdatatype.A: 4, dns.rdatatype.AAAA: 6}
# They tell a client of other addresses and of encrypted server names; without them it uses A, AAAA and plain SNI.
_EMPTIED = {dns.rdatatype.HTTPS, dns.rdatatype.SVCB}
_REFUSED = {dns.rdatatype.AXFR, dns.rdatatype.IXFR, dns.rdatatype.ANY, dns.rdatatype.OPT, dns.rdatatype.TSIG}
BLOCKED = "blocked by the egress rules of this sandbox"


@dataclass(frozen=True)
class Question:
    """What a guest asks; `name` is in lower case and without its final dot."""

    message: dns.message.QueryMessage
    name: str
    kind: dns.rdatatype.RdataType

    @property
    def key(self) -> tuple[dns.name.Name, int]:
        """What equal questions have in common."""
        return self.message.question[0].name, int(self.kind)

    @property
    def emptied(self) -> bool:
        """Tell whether there is never an answer to this type."""
        return self.kind in _EMPTIED

    @property
    def version(self) -> int:
        """The version of the addresses that are asked for, 0 for anything else."""
        return _ADDRESSES.get(self.kind, 0)


def read_question(wire: bytes) -> Question | bytes | None:
    """Return the question, or the answer to one that is not to be had, or None for what deserves no answer."""
    if len(wire) < _HEADER_BYTES or len(wire) > LONGEST_QUERY or wire[2] & 0x80:
        return None
    try:
        message = dns.message.from_wire(wire, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError):
        return _header_only(wire, dns.rcode.FORMERR)
    if message.opcode() != dns.opcode.QUERY or not isinstance(message, dns.message.QueryMessage):
        return _header_only(wire, dns.rcode.NOTIMP)
    if len(message.question) != 1 or message.answer or message.edns > 0:
        return _header_only(wire, dns.rcode.FORMERR)
    asked = message.question[0]
    if asked.rdclass != dns.rdataclass.IN or asked.rdtype in _REFUSED:
        return _header_only(wire, dns.rcode.REFUSED)
    return Question(message, _text(asked.name), asked.rdtype)


def _header_only(wire: bytes, rcode: dns.rcode.Rcode) -> bytes:
    flags = 0x8000 | (int.from_bytes(wire[2:4]) & 0x7900) | rcode
    return wire[:2] + flags.to_bytes(2) + bytes(8)


def refusal(question: Question, rcode: dns.rcode.Rcode, reason: str = "") -> dns.message.Message:
    """Return an empty answer with a code; a client that speaks EDNS is told the reason (RFC 8914)."""
    answer = _answer_to(question)
    answer.set_rcode(rcode)
    if reason and question.message.edns == 0:
        answer.use_edns(0, payload=UDP_PAYLOAD, options=[dns.edns.EDEOption(dns.edns.EDECode.BLOCKED, reason)])
    return answer


def of_addresses(question: Question, addresses: Iterable[Address], ttl_s: int) -> dns.message.Message:
    """Return an answer with those addresses that are of the type that was asked for."""
    answer = _answer_to(question)
    wanted = [str(address) for address in addresses if address.version == question.version]
    if wanted:
        asked = question.message.question[0]
        answer.answer.append(dns.rrset.from_text_list(asked.name, ttl_s, dns.rdataclass.IN, question.kind, wanted))
    return answer


@dataclass(frozen=True)
class Cleaned:
    """What is left of an upstream's answer: records of the chain that was asked for, and no closed address."""

    rcode: dns.rcode.Rcode
    records: tuple[dns.rrset.RRset, ...]
    addresses: tuple[Address, ...]
    ttl_s: int
    closed: tuple[Address, ...] = ()


def clean(
    question: Question, upstream: dns.message.Message, is_closed: Callable[[Address], bool], *, negative_ttl_s: int
) -> Cleaned:
    """Keep CNAMEs and the wanted type along the chain of the name; leave out closed addresses and all else."""
    records: list[dns.rrset.RRset] = []
    addresses: list[Address] = []
    closed: list[Address] = []
    name: dns.name.Name | None = question.message.question[0].name
    seen = 0
    while name is not None and seen < _LONGEST_CHAIN:
        seen += 1
        wanted, name = _step(question, upstream, name)
        for rrset in wanted:
            kept, refused = _open_part(rrset, is_closed)
            closed += refused
            if kept:
                records.append(kept)
                addresses += [ip_address(item.address) for item in kept if kept.rdtype in _ADDRESSES]
    ttl = min((rrset.ttl for rrset in records), default=negative_ttl_s)
    return Cleaned(upstream.rcode(), tuple(records), tuple(addresses), max(0, min(ttl, _LONGEST_TTL_S)), tuple(closed))


def _step(
    question: Question, upstream: dns.message.Message, name: dns.name.Name
) -> tuple[list[dns.rrset.RRset], dns.name.Name | None]:
    """Return the records of one name of the chain, and the name it points to."""
    here = [rrset for rrset in upstream.answer if rrset.name == name and rrset.rdclass == dns.rdataclass.IN]
    wanted = [rrset for rrset in here if rrset.rdtype == question.kind]
    if wanted or question.kind == dns.rdatatype.CNAME:
        return wanted, None
    aliases = [rrset for rrset in here if rrset.rdtype == dns.rdatatype.CNAME]
    return (aliases[:1], aliases[0][0].target) if aliases else ([], None)


def _open_part(
    rrset: dns.rrset.RRset, is_closed: Callable[[Address], bool]
) -> tuple[dns.rrset.RRset | None, list[Address]]:
    if rrset.rdtype not in _ADDRESSES:
        return rrset, []
    verdicts = {item: is_closed(ip_address(item.address)) for item in list(rrset)[:_MOST_ADDRESSES]}
    refused = [ip_address(item.address) for item, closed in verdicts.items() if closed]
    kept = [item for item, closed in verdicts.items() if not closed]
    return (dns.rrset.from_rdata_list(rrset.name, rrset.ttl, kept) if kept else None), refused


def answer(question: Question, cleaned: Cleaned, *, age_s: int = 0) -> dns.message.Message:
    """Return an answer made of cleaned records, whose time to live is shorter by their age."""
    message = _answer_to(question)
    message.set_rcode(cleaned.rcode)
    for rrset in cleaned.records:
        ttl = max(0, min(rrset.ttl, _LONGEST_TTL_S) - age_s)
        message.answer.append(dns.rrset.from_rdata_list(rrset.name, ttl, list(rrset)))
    return message


def to_wire(question: Question, message: dns.message.Message, *, stream: bool) -> bytes:
    """Return the bytes; over UDP at most what the client takes, else an empty answer that says "use TCP"."""
    largest = 65_535 if stream else _udp_room(question)
    try:
        return message.to_wire(max_size=largest)
    except dns.exception.TooBig:
        short = _answer_to(question)
        short.set_rcode(message.rcode())
        short.flags |= dns.flags.TC
        return short.to_wire(max_size=largest)


def _udp_room(question: Question) -> int:
    said = question.message.payload if question.message.edns >= 0 else 0
    return max(_SMALLEST_UDP, min(said, UDP_PAYLOAD))


def _answer_to(question: Question) -> dns.message.Message:
    answer = dns.message.make_response(question.message, recursion_available=True, our_payload=UDP_PAYLOAD)
    answer.flags &= ~(dns.flags.AD | dns.flags.CD | dns.flags.AA)
    return answer


def _text(name: dns.name.Name) -> str:
    """Return a name for comparison with rules, empty when a label has characters that no host name has."""
    text = name.to_text(omit_final_dot=True).lower()
    return "" if "\\" in text else text


def upstream_question(question: Question) -> dns.message.QueryMessage:
    """Return the question as it is put to an upstream: a number of its own, nothing else of the guest's message."""
    asked = question.message.question[0]
    return dns.message.make_query(asked.name, asked.rdtype, use_edns=0, payload=UDP_PAYLOAD, flags=dns.flags.RD)


def is_answer_to(question: dns.message.Message, wire: bytes) -> dns.message.Message | None:
    """Return the message if it answers a question, else None."""
    try:
        message = dns.message.from_wire(wire, ignore_trailing=True, raise_on_truncation=False)
    except (dns.exception.DNSException, ValueError):
        return None
    return message if question.is_response(message) else None
