"""The `createos` program: from words to an exit code. Imports little, so that `--version` and `exec` are quick."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from createos_cli.argv import Globals, is_exec, read_globals, split_globals
from createos_cli.errors import Cancelled, CliError, OutputClosed

if TYPE_CHECKING:
    from createos_cli.output import Output
    from createos_cli.surroundings import Surroundings

FAILED = 1
INTERRUPTED = 130
BROKEN_PIPE = 141
VERSION_WORDS = (["--version"], ["-v"], ["version"])
JSON = "json"
NAMES = "__names"


def run() -> int:
    """Run the command line of this process; the exit code is 1 for every error and never 2."""
    try:
        code = _run_words(sys.argv[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except (OutputClosed, BrokenPipeError):
        _drop_output()
        return BROKEN_PIPE
    except Exception as exc:
        # There is no output yet, or it cannot be written: a full disk behind stdout ends here.
        _drop_output()
        sys.stderr.write(f"Error: {exc}\n")
        return FAILED
    return code


def main(argv: Sequence[str], around: Surroundings) -> int:
    """Run one command line in the given surroundings and return its exit code."""
    from createos_cli.output import Output

    given: Mapping[str, str] = {}
    output = Output(around, as_json=_wants_json(read_globals({}, around.environ), [], around))
    try:
        given, words = split_globals(argv)
        flags = read_globals(given, around.environ)
        output = Output(around, as_json=_wants_json(flags, words, around))
        return _dispatch(words, flags, output, around)
    except Cancelled:
        output.cancelled()
        return 0
    except CliError as exc:
        output.fail(exc)
        return FAILED
    except OutputClosed:
        raise
    except Exception as exc:
        _report_bug(exc, output, debug=read_globals(given, around.environ).debug)
        return FAILED


def _run_words(argv: list[str]) -> int:
    if argv in VERSION_WORDS:
        return _print_version()
    from createos_cli.surroundings import of_process

    return main(argv, of_process())


def _print_version() -> int:
    from createos_cli.version import installed_version

    sys.stdout.write(f"createos {installed_version()}\n")
    return 0


def _dispatch(words: list[str], flags: Globals, output: Output, around: Surroundings) -> int:
    from createos_cli.session import Session

    session = Session(around, flags, output)
    if words in VERSION_WORDS:
        words = ["version"]
    if is_exec(words):
        from createos_cli.commands.exec import execute, plain_call

        if call := plain_call(words[2:]):
            return execute(session, call)
    if words[:1] == [NAMES]:
        from createos_cli.names import print_names

        return print_names(session, words[1:])
    from createos_cli.app import invoke

    return invoke(session, words)


def _wants_json(flags: Globals, words: Sequence[str], around: Surroundings) -> bool:
    """Decide the format: a program's output is never turned into JSON unless that was asked for."""
    if flags.output:
        return flags.output == JSON
    return not around.stdout_is_terminal and not is_exec(words)


def _drop_output() -> None:
    """Point stdout to nowhere: Python would complain at exit when it flushes what is still buffered."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _report_bug(exc: Exception, output: Output, *, debug: bool) -> None:
    """Report what nobody expected in one sentence; the place of it only with --debug."""
    if debug:
        from traceback import format_exception

        output.remark("".join(format_exception(exc)))
    hint = "" if debug else "run it again with --debug to see where"
    output.fail(CliError(f"unexpected {type(exc).__name__}: {exc}", hint=hint))
