"""What can be changed of a sandbox, one request each, and the menu that offers it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from createos_cli import prompts
from createos_cli.client import Client, JsonObject, segment
from createos_cli.durations import parse_auto_pause, short_duration
from createos_cli.errors import Cancelled, CliError, NotSignedIn, Unreachable, Usage
from createos_cli.formats import label, size
from createos_cli.session import Session
from createos_cli.ssh_keys import read_public_key

GIB = 2**30
MOST_GB = 1024


@dataclass(frozen=True)
class Change:
    """One change that was made: a sentence, and the keys of variant B (cli-behaviour 4.5)."""

    sentence: str
    document: JsonObject


def set_ingress(client: Client, place: str, *, on: bool) -> Change:
    """Switch the public URL; *place* is the sandbox's path."""
    after = client.patch(place, {"ingress_enabled": on})
    url = after.get("ingress_url_template") or ""
    sentence = f"Public URL: {url or 'on'}" if on else "Public URL: off"
    return Change(sentence, {"action": "ingress_updated", "ingress": on, **({"ingress_url": url} if url else {})})


def set_auto_pause(client: Client, place: str, seconds: int) -> Change:
    """Set after how much idleness it pauses; 0 switches that off."""
    body: JsonObject = {"auto_pause_after_seconds": seconds} if seconds else {"disable_auto_pause": True}
    client.patch(place, body)
    sentence = f"Auto-pause: after {short_duration(seconds)} without activity" if seconds else "Auto-pause: off"
    extra = {"auto_pause_after_seconds": seconds} if seconds else {}
    return Change(sentence, {"action": "auto_pause_updated", **extra})


def add_keys(client: Client, place: str, keys: Sequence[str]) -> Change:
    """Add public keys; nothing takes one away again."""
    total = client.post(f"{place}/ssh-pubkeys", {"keys": list(keys)}).get("count")
    document = {"action": "ssh_keys_added", "keys_added": len(keys), "total_keys": total}
    return Change(f"SSH keys: {len(keys)} added, {total} in all", document)


def add_bandwidth(client: Client, place: str, gigabytes: int) -> Change:
    """Raise the traffic quota."""
    after = client.post(f"{place}/bandwidth/recharge", {"add_bytes": gigabytes * GIB})
    left = after.get("remaining_bytes")
    sentence = f"Bandwidth: {gigabytes} GB added" + (f", {size(left)} left" if isinstance(left, int) else "")
    return Change(sentence, {"action": "bandwidth_added", "added_bytes": gigabytes * GIB})


def edit_in_menu(session: Session, sandbox_id: str) -> None:
    """Offer changes until the user is done; a change that fails is said and the menu comes again."""
    place = f"/v1/sandboxes/{segment(sandbox_id)}"
    while True:
        sandbox = session.client.get(place)
        metered = _metered(session.client, place)
        entries: list[tuple[str, Callable[[], Change]]] = [
            (_ingress_line(sandbox), partial(_ask_ingress, session, place, sandbox)),
            ("Add an SSH key", partial(_ask_key, session, place)),
            *([("Top up bandwidth", partial(_ask_bandwidth, session, place))] if metered else []),
            (_pause_line(sandbox), partial(_ask_pause, session, place)),
        ]
        try:
            chosen = prompts.choose(session, f"Edit {label(sandbox)}", [*(line for line, _ in entries), "Done"])
        except Cancelled:
            return
        if chosen == len(entries):
            return
        _carry_out(session, entries[chosen][1])


def _carry_out(session: Session, ask: Callable[[], Change]) -> None:
    try:
        session.output.lines([f"  {ask().sentence}"])
    except Cancelled:
        session.output.remark("Nothing was changed.")
    except (NotSignedIn, Unreachable):
        raise
    except CliError as exc:
        session.output.fail_line(f"{exc.message}; {exc.hint}" if exc.hint else exc.message)


def _ask_ingress(session: Session, place: str, sandbox: JsonObject) -> Change:
    on = not sandbox.get("ingress_enabled")
    if not prompts.agree(session, f"Switch the public URL {'on' if on else 'off'}?", default=True):
        raise Cancelled
    return set_ingress(session.client, place, on=on)


def _ask_key(session: Session, place: str) -> Change:
    path = prompts.ask_path(session, "Public key file:")
    if not path:
        raise Cancelled
    return add_keys(session.client, place, [read_public_key(path, "key")])


def _ask_bandwidth(session: Session, place: str) -> Change:
    text = prompts.ask(session, f"How many GB (1 to {MOST_GB})?")
    if not text.isdecimal() or not 1 <= int(text) <= MOST_GB:
        raise Usage(f"{text} is not a number of GB", hint=f"write a whole number from 1 to {MOST_GB}")
    return add_bandwidth(session.client, place, int(text))


def _ask_pause(session: Session, place: str) -> Change:
    text = prompts.ask(session, "Pause when idle for (60s to 24h, or off)?")
    return set_auto_pause(session.client, place, 0 if text.lower() in ("off", "no") else parse_auto_pause(text))


def _metered(client: Client, place: str) -> bool:
    """Tell whether the sandbox's traffic has a quota; a server that does not count it has none."""
    try:
        quota = client.get(f"{place}/bandwidth").get("quota_bytes")
    except CliError:
        return False
    return isinstance(quota, int) and quota >= 0


def _ingress_line(sandbox: JsonObject) -> str:
    return f"Public URL: {sandbox.get('ingress_url_template') or 'on' if sandbox.get('ingress_enabled') else 'off'}"


def _pause_line(sandbox: JsonObject) -> str:
    seconds = sandbox.get("auto_pause_after_seconds")
    return f"Auto-pause: {f'after {short_duration(int(seconds))} idle' if seconds else 'off'}"
