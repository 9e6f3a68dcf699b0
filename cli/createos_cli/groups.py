"""How our command groups differ from typer's: aliases, suggestions for misspelt words, global flags in the help."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from createos_cli.argv import GLOBAL_FLAGS, hoist_exec
from createos_cli.errors import Usage
from createos_cli.session import Session

NEAR = 2
HELP_FLAGS = {"help_option_names": ["-h", "--help"]}


class AliasGroup(TyperGroup):
    """A group whose commands are registered as `name|alias|alias`; without a command it prints its help."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002  typer calls it with a context
        """Return the command with this name or alias."""
        return next((command for name, command in self.commands.items() if cmd_name in name.split("|")), None)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return name, command and the other words; raise Usage with the nearest name for an unknown word."""
        typed = args[0]
        command = self.get_command(ctx, typed)
        if command is None:
            raise Usage(
                f"there is no command {typed!r}{self._suggestion(typed)}", hint=f"see {ctx.command_path} --help"
            )
        return typed, command, args[1:]

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002  typer calls it with a context
        """Write one line per command, aliases beside the name."""
        visible = [(name, command) for name, command in self.commands.items() if not command.hidden]
        room = formatter.width - 6 - max(len(name) for name, _ in visible)
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name.replace("|", ", "), command.get_short_help_str(room)) for name, command in visible]
            )

    def _suggestion(self, typed: str) -> str:
        names = [part for name, command in self.commands.items() if not command.hidden for part in name.split("|")]
        best = min(names, key=lambda name: distance(typed, name))
        return f"; did you mean {best!r}?" if distance(typed, best) <= NEAR else ""


class RootGroup(AliasGroup):
    """The program itself: its help also lists the flags that work everywhere."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands and the global flags."""
        self.format_commands(ctx, formatter)
        with formatter.section("Flags for every command"):
            formatter.write_dl(list(_global_flag_rows()))


class ExecCommand(TyperCommand):
    """`exec`: its own flags may stand on either side of the sandbox, nothing of the program is read as a flag."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ARG002  typer calls it with a context
        """Return the words of the usage line, in the order people type them."""
        return ["[OPTIONS]", "SANDBOX -- PROGRAM [ARGUMENT]..."]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the flags first, then `--`, the sandbox (empty when missing) and the program."""
        flags, sandbox, command = hoist_exec(args)
        words = [sandbox, *command] if sandbox or command else []
        return super().parse_args(ctx, [*flags, "--", *words])


def command_group(sentence: str, examples: str, cls: type[AliasGroup] = AliasGroup) -> typer.Typer:
    """Return an empty group of commands; called without one it prints its help and ends well (cli-behaviour 1.5)."""
    group = typer.Typer(
        cls=cls,
        help=sentence,
        epilog=examples,
        add_completion=False,
        invoke_without_command=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={**HELP_FLAGS, "max_content_width": 100},
    )
    group.callback()(_help_without_command)
    return group


def _help_without_command(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        session: Session = ctx.obj
        session.output.lines([ctx.get_help()])


def distance(left: str, right: str) -> int:
    """Return how many letters must be inserted, removed or replaced to turn one word into the other."""
    previous: Sequence[int] = range(len(right) + 1)
    for row, first in enumerate(left, 1):
        current = [row]
        for place, second in enumerate(right, 1):
            current.append(min(previous[place] + 1, current[-1] + 1, previous[place - 1] + (first != second)))
        previous = current
    return previous[-1]


def _global_flag_rows() -> Iterator[tuple[str, str]]:
    for flag in GLOBAL_FLAGS:
        names = f"-{flag.short}, --{flag.name}" if flag.short else f"--{flag.name}"
        yield f"{names} {flag.metavar}".rstrip(), f"{flag.help} [{flag.environ[0]}]"
    yield "-h, --help", "Show help; after a command, its own."
    yield "-v, --version", "Print the version."
