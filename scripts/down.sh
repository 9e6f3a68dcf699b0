#!/usr/bin/env bash
# Stop the daemon and leave its sandboxes running: the next `make up` finds them again.
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

deadline_s=30

stopped() {
    local left=$((deadline_s * 10))
    while is_daemon "$1"; do
        ((left-- > 0)) || return 1
        sleep 0.1
    done
}

read_settings
if ! pid=$(daemon_pid); then
    say "createosd is not running"
    exit
fi
kill -TERM "$pid" 2>/dev/null || die "createosd (process $pid) is not ours to stop" "sudo make down"
step "Stop createosd (process $pid)" stopped "$pid" \
    || die "createosd (process $pid) is still there after $deadline_s s" "look at its log, then kill -KILL $pid: that loses nothing"
say "createosd has stopped; sandboxes keep running, make up finds them again"
