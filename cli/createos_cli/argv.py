"""The command line before it is parsed: global flags are honoured anywhere, the command of `exec` is never touched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from createos_cli.errors import Usage

SANDBOX_GROUP = frozenset({"sandbox", "sb"})
FORCE_WORDS = {"-yes": "--yes", "-force": "--force"}
EXEC_VALUE_FLAGS = frozenset({"env", "stdin"})
NO = frozenset({"", "0", "f", "false"})


@dataclass(frozen=True)
class GlobalFlag:
    """One global flag; *metavar* is empty for a switch; the first variable of *environ* that is set is the default."""

    name: str
    short: str
    metavar: str
    environ: tuple[str, ...]
    help: str


GLOBAL_FLAGS = (
    GlobalFlag(
        "sandbox-api-url",
        "",
        "URL",
        ("CREATEOS_SANDBOX_URL",),
        "Where the sandbox API is: http(s)://HOST or unix:///PATH. Default: the local socket.",
    ),
    GlobalFlag("sandbox-gateway", "", "HOST:PORT", ("CREATEOS_SANDBOX_GATEWAY",), "SSH gateway."),
    GlobalFlag("output", "o", "FORMAT", ("CREATEOS_OUTPUT",), "json or table. Default: json when piped."),
    GlobalFlag(
        "api-url",
        "",
        "URL",
        ("CREATEOS_API_URL", "CREATEOS_PLAN_API_URL", "CREATEOS_PROJECT_API_URL"),
        "Where accounts live. Default: the sandbox API.",
    ),
    GlobalFlag(
        "api-key",
        "",
        "KEY",
        ("CREATEOS_API_KEY", "CREATEOS_PLAN_API_KEY", "CREATEOS_PROJECT_API_KEY"),
        "Credential for this run instead of the stored one.",
    ),
    GlobalFlag(
        "auto-resume", "", "", ("CREATEOS_AUTO_RESUME",), "Resume a sandbox that was paused for being idle, then go on."
    ),
    GlobalFlag("debug", "d", "", ("CREATEOS_DEBUG",), "Show requests, answers and the place of a failure."),
)
BY_NAME = {name: flag for flag in GLOBAL_FLAGS for name in (flag.name, flag.short) if name}


@dataclass(frozen=True)
class Globals:
    """What the global flags and their variables say; empty means not given."""

    sandbox_api_url: str = ""
    sandbox_gateway: str = ""
    output: str = ""
    api_url: str = ""
    api_key: str = ""
    debug: bool = False
    auto_resume: bool = False


def split_globals(argv: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Return the global flags by name, and the other words in their order. Raise Usage when one lacks its value."""
    end = own_part(argv)
    own = iter(argv[:end])
    given: dict[str, str] = {}
    words: list[str] = []
    for token in own:
        name, equals, value = _flag(token)
        flag = BY_NAME.get(name)
        if flag is None:
            words.append(FORCE_WORDS.get(token, token))
            words.extend(_exec_value(name, equals, own))
        elif equals or not flag.metavar:
            given[flag.name] = value if equals else "true"
        else:
            given[flag.name] = _value_of(flag, own)
    return given, [*_help_last(words), *argv[end:]]


def read_globals(given: Mapping[str, str], environ: Mapping[str, str]) -> Globals:
    """Add what the environment says to the flags; flags win, empty variables do not count."""
    values = {flag.name: given.get(flag.name) or _from_environ(flag, environ) for flag in GLOBAL_FLAGS}
    return Globals(
        sandbox_api_url=values["sandbox-api-url"],
        sandbox_gateway=values["sandbox-gateway"],
        output=values["output"],
        api_url=values["api-url"],
        api_key=values["api-key"],
        debug=values["debug"].lower() not in NO,
        auto_resume=values["auto-resume"].lower() not in NO,
    )


def is_exec(words: Sequence[str]) -> bool:
    """Say whether these words (global flags taken out) run a program in a sandbox."""
    return len(words) > 1 and words[0] in SANDBOX_GROUP and words[1] == "exec"


def own_part(argv: Sequence[str]) -> int:
    """Return how many leading tokens are ours: all before `--`, and before the program of `exec BOX program …`."""
    words: list[str] = []
    tokens = iter(enumerate(argv))
    for index, text in tokens:
        name, equals, _ = _flag(text)
        if text == "--" or (not name and is_exec(words) and len(words) > 2):
            return index
        if not name:
            words.append(text)
        elif not equals and _takes_value(name) and next(tokens, (0, ""))[1] == "--":
            return index + 1
    return len(argv)


def hoist_exec(tokens: Sequence[str]) -> tuple[list[str], str, list[str]]:
    """Return what follows `exec` as flags, sandbox (empty when missing) and the program with its arguments."""
    end = own_part(["sandbox", "exec", *tokens]) - 2
    own, command = iter(tokens[:end]), list(tokens[end:])
    flags: list[str] = []
    sandbox = ""
    for token in own:
        name, equals, _ = _flag(token)
        if name:
            flags += [token, *_exec_value(name, equals, own)]
        else:
            sandbox = token
    return flags, sandbox, command[1:] if command[:1] == ["--"] else command


def _flag(token: str) -> tuple[str, str, str]:
    """Return name, `=` if there is one, and value of a flag; the name is empty for anything else, `-` included."""
    stripped = token[2:] if token.startswith("--") else token[1:] if token.startswith("-") else ""
    return stripped.partition("=")


def _takes_value(name: str) -> bool:
    flag = BY_NAME.get(name)
    return name in EXEC_VALUE_FLAGS or (flag is not None and bool(flag.metavar))


def _exec_value(name: str, equals: str, own: Iterator[str]) -> list[str]:
    if equals or name not in EXEC_VALUE_FLAGS:
        return []
    value = next(own, None)
    return [] if value is None else [value]


def _value_of(flag: GlobalFlag, own: Iterator[str]) -> str:
    value = next(own, None)
    if value is None:
        raise Usage(
            f"--{flag.name} needs a value", hint=f"for example: createos --{flag.name} {flag.metavar} sandbox list"
        )
    return value


def _from_environ(flag: GlobalFlag, environ: Mapping[str, str]) -> str:
    return next((environ[name] for name in flag.environ if environ.get(name)), "")


def _help_last(words: list[str]) -> list[str]:
    """Turn `help sandbox` and `sandbox help list` into `… --help`."""
    place = 1 if words[:1] and words[0] in SANDBOX_GROUP else 0
    if words[place : place + 1] == ["help"]:
        return [*words[:place], *words[place + 1 :], "--help"]
    return words
