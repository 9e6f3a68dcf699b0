# shellcheck shell=bash disable=SC2034  # the scripts that source this use the variables
# What the scripts share: steps with visible progress, and one way to fail. Source it from the top of the repository.

set -euo pipefail

# The last failed step's output is kept here until the script ends.
step_log=$(mktemp)
state_dir='' run_dir='' cache_dir='' log='' pid_file='' socket=''
ticker=
# Titles and milliseconds of finished steps, tab-separated; scripts that start other scripts share the file.
export STEPS_FILE=${STEPS_FILE:-}

on_exit() {
    [[ -z $ticker ]] || kill "$ticker" 2>/dev/null || true
    rm -f "$step_log"
}
trap on_exit EXIT

say() {
    printf '%s\n' "$*"
}

# die REASON [NEXT STEP]: one sentence, and what to do.
die() {
    printf 'error: %s\n' "$1" >&2
    [[ -z ${2:-} ]] || printf '  next: %s\n' "$2" >&2
    exit 1
}

now_ms() {
    local micros=${EPOCHREALTIME/[.,]/}
    printf '%s\n' $((micros / 1000))
}

# seconds MILLISECONDS: with one decimal.
seconds() {
    printf '%d.%d s\n' $(($1 / 1000)) $(($1 % 1000 / 100))
}

# tick TITLE: show that a step goes on, once it has taken a second: counting on a terminal, one line elsewhere.
tick() {
    local passed=1
    sleep 1 >/dev/null 2>&1
    if [[ ! -t 1 ]]; then
        printf '  ..  %s\n' "$1"
        return
    fi
    while true; do
        printf '\r  ..  %-56s %4d s' "$1" $passed
        sleep 1 >/dev/null 2>&1
        passed=$((passed + 1))
    done
}

# step TITLE COMMAND…: run it, say how long it took if that was over a second, show its output only if it fails.
# `set -e` does not hold inside a function run this way: chain its commands with &&.
step() {
    local title=$1 began took status=0
    shift
    began=$(now_ms)
    tick "$title" &
    ticker=$!
    "$@" </dev/null >"$step_log" 2>&1 || status=$?
    kill "$ticker" 2>/dev/null || true
    wait "$ticker" 2>/dev/null || true
    ticker=
    took=$(($(now_ms) - began))
    [[ -z $STEPS_FILE ]] || printf '%s\t%s\n' "$title" "$took" >>"$STEPS_FILE"
    [[ ! -t 1 ]] || printf '\r\033[K'
    if ((status != 0)); then
        printf '  !!  %s failed after %s; its last lines:\n\n' "$title" "$(seconds $took)" >&2
        tail -n 20 "$step_log" >&2
        printf '\n' >&2
        return "$status"
    fi
    ((took < 1000)) || printf '  ok  %-56s %8s\n' "$title" "$(seconds $took)"
}

# Set state_dir, run_dir, cache_dir and the files in them as the daemon's own settings say.
read_settings() {
    local found
    [[ -x .venv/bin/createosd ]] || die "there is no virtual environment here" "sudo make setup"
    found=$(.venv/bin/python -c '
import sys
from createos_engine.errors import EngineError
from createos_engine.settings import load
try:
    settings = load()
except EngineError as exc:
    sys.exit(exc.sentence)
print(settings.state_dir, settings.run_dir, settings.cache_dir, sep="\n")') || exit
    { read -r state_dir; read -r run_dir; read -r cache_dir; } <<<"$found"
    log=$state_dir/createosd.log
    pid_file=$run_dir/createosd.pid
    socket=$run_dir/createosd.sock
}

# is_daemon PID: a pid file may outlive its daemon, and the number then gets another owner.
is_daemon() {
    tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline" | grep -q createosd
}

# Print the running daemon's process id, fail if there is none.
daemon_pid() {
    local pid
    pid=$(cat "$pid_file" 2>/dev/null) || return
    [[ $pid =~ ^[0-9]+$ ]] && is_daemon "$pid" && printf '%s\n' "$pid"
}

# The tests that need no root and no virtual machine, on all cores; arguments go to pytest.
quick_tests() {
    python -m pytest -n auto --dist worksteal -m 'not root and not vm' "$@"
}
