"""What can be typed, as plain data: taken from the commands themselves, so that it cannot differ from them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from createos_cli.argv import GLOBAL_FLAGS

NOTHING, FILES, FORMATS = "none", "files", "formats"
# What a value names, by flag or by the word that stands for it in the help.
_OF_FLAG = {"--shape": "shapes", "--rootfs": "rootfs", "--network": "networks", "--disk": "disks", "--output": FORMATS}
_OF_WORD = {
    "SANDBOX": "sandboxes",
    "NETWORK": "networks",
    "DISK": "disks",
    "TEMPLATE": "templates",
    "PATH": FILES,
    "FILE": FILES,
    "DIR": FILES,
    "LOCAL": FILES,
}


@dataclass(frozen=True)
class Flag:
    """One flag; *value* is the kind of its value, empty for a switch."""

    names: tuple[str, ...]
    sentence: str
    value: str = ""


@dataclass(frozen=True)
class Entry:
    """One command or group: its path in main names, what it is also called, and what may follow it."""

    path: str
    names: tuple[str, ...]
    sentence: str
    flags: tuple[Flag, ...]
    arguments: tuple[str, ...]
    repeats: bool
    children: tuple[Entry, ...]

    def walk(self) -> Iterator[Entry]:
        """Yield this entry and everything below it."""
        yield self
        for child in self.children:
            yield from child.walk()


def read(command: Any, path: str = "", names: tuple[str, ...] = ()) -> Entry:
    """Return a typer command and all its visible sub-commands."""
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    children = []
    for said, child in getattr(command, "commands", {}).items():
        if not child.hidden:
            called = tuple(said.split("|"))
            children.append(read(child, f"{path} {called[0]}".strip(), called))
    return Entry(
        path=path,
        names=names,
        sentence=_one_line(command.get_short_help_str(200)),
        flags=tuple(_flag(param) for param in command.params if param.param_type_name == "option" and not param.hidden),
        arguments=tuple(_argument(param) for param in arguments),
        repeats=any(param.nargs == -1 for param in arguments),
        children=tuple(children),
    )


def global_flags() -> list[Flag]:
    """Return the flags that work everywhere."""
    found = [Flag(("--help", "-h"), "Show help")]
    for flag in GLOBAL_FLAGS:
        names = (f"--{flag.name}", f"-{flag.short}") if flag.short else (f"--{flag.name}",)
        value = _OF_FLAG.get(names[0], NOTHING) if flag.metavar else ""
        found.append(Flag(names, _one_line(flag.help), value))
    return found


def _flag(param: Any) -> Flag:
    names = tuple(sorted((*param.opts, *param.secondary_opts), key=len, reverse=True))
    kinds = [_OF_FLAG[name] for name in names if name in _OF_FLAG] or [_kind(param.metavar or "")]
    return Flag(names, _one_line(param.help or ""), "" if param.is_flag else kinds[0])


def _argument(param: Any) -> str:
    """Return the kind of a positional word; the hidden one of `exec` is its sandbox."""
    return "sandboxes" if param.hidden else _kind(param.metavar or param.name.upper())


def _kind(metavar: str) -> str:
    words = re.findall(r"[A-Z]+", metavar)
    return next((_OF_WORD[word] for word in words if word in _OF_WORD), NOTHING)


def _one_line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")
