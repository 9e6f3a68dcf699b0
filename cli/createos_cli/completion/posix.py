"""Completion for bash and zsh: both understand the same `case` tables and the same walk over the words."""

from __future__ import annotations

from collections.abc import Iterable

from createos_cli.completion.tables import Table, tables
from createos_cli.completion.tree import Entry

_WALK = r"""
# Reads the words before the cursor: which command they name, how many plain words follow it, what a flag waits for.
_createos_walk() {
    local word next
    _path="" _place=0 _pending="" _raw=""
    for word in "$@"; do
        if [[ -n $_pending ]]; then _pending=""; continue; fi
        case "$word" in
            --) _raw=1; return 0 ;;
            -*=*) ;;
            -*) _pending=$(_createos_value "$_path $word") ;;
            *)
                next=""
                if [[ $_place == 0 ]]; then next=$(_createos_step "$_path:$word"); fi
                if [[ -n $next ]]; then _path=$next; else _place=$((_place + 1)); fi ;;
        esac
    done
}

# Writes what fits at the cursor, one line each: the word, a tab, what it is. ":files" stands for file names.
_createos_offer() {
    local current=$1 kind="" before="" line
    if [[ -n $_raw ]]; then printf ':files\n'; return; fi
    if [[ -n $_pending ]]; then
        kind=$_pending
    elif [[ $current == -*=* ]]; then
        before="${current%%=*}="
        kind=$(_createos_value "$_path ${current%%=*}")
    elif [[ $current == -* ]]; then
        _createos_flags "$_path"
        return
    else
        if [[ $_place == 0 ]]; then _createos_commands "$_path"; fi
        kind=$(_createos_argument "$_path $_place")
    fi
    case "$kind" in
        "" | none) ;;
        files) printf ':files\n' ;;
        formats) printf '%s\n' "${before}json" "${before}table" ;;
        *)
            createos __names "$kind" "${current#"$before"}" 2>/dev/null </dev/null |
                while IFS= read -r line; do printf '%s\n' "$before$line"; done ;;
    esac
}
"""

_BASH = r"""
_createos() {
    local line="${COMP_LINE:0:COMP_POINT}" current="" skip="" value _text _path _place _pending _raw
    local -a words
    read -ra words <<<"$line"
    if [[ $line != *[[:space:]] ]]; then
        current="${words[-1]}"
        unset 'words[-1]'
    fi
    _createos_walk "${words[@]:1}"
    # bash replaces only what follows the last of these characters
    if [[ $current == *[:=]* ]]; then skip="${current%"${current##*[:=]}"}"; fi
    COMPREPLY=()
    while IFS=$'\t' read -r value _text; do
        if [[ $value == :files ]]; then
            compopt -o default
        elif [[ $value == "$current"* ]]; then
            COMPREPLY+=("${value#"$skip"}")
        fi
    done < <(_createos_offer "$current")
}
complete -F _createos createos
"""

_ZSH = r"""
_createos() {
    local current=${words[CURRENT]} value text _path _place _pending _raw
    local -a found
    local -i files=0
    _createos_walk "${(@)words[2,CURRENT-1]}"
    while IFS=$'\t' read -r value text; do
        if [[ $value == :files ]]; then
            files=1
        else
            found+=("${value//:/\\:}:$text")
        fi
    done < <(_createos_offer "$current")
    if (( $#found )); then _describe -t createos createos found; fi
    if (( files )); then _files; fi
}
if [[ ${funcstack[1]} == _createos ]]; then _createos "$@"; else compdef _createos createos; fi
"""


def bash(root: Entry) -> str:
    """Return the script for bash."""
    return (
        f"# Completion of createos for bash: source it, or put it where bash-completion looks.\n{_tables(root)}{_BASH}"
    )


def zsh(root: Entry) -> str:
    """Return the script for zsh: to be evaluated after compinit, or as a file `_createos` on the fpath."""
    return f"#compdef createos\n# Completion of createos for zsh.\n{_tables(root)}{_ZSH}"


def _tables(root: Entry) -> str:
    return "".join(map(_function, tables(root))) + _WALK


def _function(table: Table) -> str:
    cases = "".join(
        f"        {'|'.join(map(_pattern, case.patterns))}) {_say(case.lines)} ;;\n" for case in table.cases
    )
    always = f"    {_say(table.always)}\n" if table.always else ""
    return f'\n_createos_{table.name}() {{\n    case "$1" in\n{cases}    esac\n{always}}}\n'


def _pattern(text: str) -> str:
    first, last = "*" * text.startswith("*"), "*" * text.endswith("*")
    return f"{first}{quoted(text.strip('*'))}{last}"


def _say(lines: Iterable[str]) -> str:
    return " ".join(("printf '%s\\n'", *map(quoted, lines)))


def quoted(text: str) -> str:
    """Quote for a POSIX shell."""
    return "'" + text.replace("'", "'\\''") + "'"
