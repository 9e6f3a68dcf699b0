"""Completion for fish."""

from __future__ import annotations

from collections.abc import Iterable

from createos_cli.completion.tables import Table, tables
from createos_cli.completion.tree import Entry

_WALK = r"""
function __createos_complete
    set -l words (commandline -opc)
    set -e words[1]
    set -l current (commandline -ct)
    set -l path ''
    set -l place 0
    set -l pending ''
    for word in $words
        if test -n "$pending"
            set pending ''
            continue
        end
        switch $word
            case --
                __fish_complete_path "$current"
                return
            case '-*=*'
            case '-*'
                set pending (__createos_value "$path $word")
            case '*'
                set -l next ''
                if test $place -eq 0
                    set next (__createos_step "$path:$word")
                end
                if test -n "$next"
                    set path $next
                else
                    set place (math $place + 1)
                end
        end
    end
    set -l kind ''
    set -l before ''
    if test -n "$pending"
        set kind $pending
    else if string match -q -- '-*=*' "$current"
        set -l halves (string split -m 1 = -- "$current")
        set before "$halves[1]="
        set kind (__createos_value "$path $halves[1]")
    else if string match -q -- '-*' "$current"
        __createos_flags "$path"
        return
    else
        if test $place -eq 0
            __createos_commands "$path"
        end
        set kind (__createos_argument "$path $place")
    end
    switch "$kind"
        case '' none
        case files
            __fish_complete_path "$current"
        case formats
            printf '%s\n' {$before}json {$before}table
        case '*'
            for line in (createos __names $kind (string replace -- "$before" '' "$current") 2>/dev/null </dev/null)
                printf '%s\n' "$before$line"
            end
    end
end
complete -c createos -f -a '(__createos_complete)'
"""


def fish(root: Entry) -> str:
    """Return the script for fish."""
    head = "# Completion of createos for fish: source it, or save it as createos.fish.\n"
    return head + "".join(map(_function, tables(root))) + _WALK


def _function(table: Table) -> str:
    cases = "".join(
        f"        case {' '.join(map(quoted, case.patterns))}\n            {_say(case.lines)}\n" for case in table.cases
    )
    always = f"    {_say(table.always)}\n" if table.always else ""
    return f"\nfunction __createos_{table.name}\n    switch $argv[1]\n{cases}    end\n{always}end\n"


def _say(lines: Iterable[str]) -> str:
    return " ".join(("printf '%s\\n'", *map(quoted, lines)))


def quoted(text: str) -> str:
    """Quote for fish, which knows two escapes inside single quotes."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
