#!/usr/bin/env bash
# From a clone to a command that ran inside a virtual machine. Run again, it finds everything in place.
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

name=hello
shape=s-1vcpu-256mb
bin=$PWD/.venv/bin
began=$(now_ms)
STEPS_FILE=$(mktemp)
answer=$(mktemp)
trap 'on_exit; rm -f "$STEPS_FILE" "$answer"' EXIT

ready() {
    "$bin/python" scripts/wait_ready.py "$socket" "$@"
}

# The daemon gets a session of its own: it outlives this terminal.
start_daemon() {
    local pid
    if ! pid=$(daemon_pid); then
        mkdir -p "$state_dir" && chmod 0711 "$state_dir"
        (umask 077 && : >>"$log")
        setsid "$bin/createosd" serve </dev/null >>"$log" 2>&1 &
        pid=$!
    fi
    ready 90 "$pid"
}

# The daemon of this machine as root, whatever server and key the caller's environment names.
createos() {
    env -u CREATEOS_API_KEY CREATEOS_SANDBOX_URL="unix://$socket" "$bin/createos" "$@"
}

# Print the sandbox's status, nothing if there is no such sandbox.
status_of() {
    createos sandbox get "$1" --output json 2>/dev/null | sed -n 's/.*"status": *"\([a-z]*\)".*/\1/p'
}

create_sandbox() {
    createos sandbox create --shape "$shape" --name "$name"
}

run_in_sandbox() {
    createos sandbox exec "$name" -- uname -a >"$answer"
}

# What a person needs to see when the daemon or the sandbox did not come up.
explain() {
    if [[ -s $log ]]; then
        printf 'the last lines of %s:\n\n' "$log"
        tail -n 15 "$log"
        printf '\n'
    fi
    "$bin/createosd" doctor || true
    die "$1" "mend what is marked FAIL above, then: sudo make up"
} >&2

print_table() {
    local title took
    printf '\n'
    while IFS=$'\t' read -r title took; do
        printf '  %-56s %8s\n' "$title" "$(seconds "$took")"
    done <"$STEPS_FILE"
    printf '  %-56s %8s\n\n' "Altogether" "$(seconds $(($(now_ms) - began)))"
}

# Who came through sudo is not root afterwards, and the API socket is for root and the group createos.
print_group() {
    local user=${SUDO_USER:-root}
    [[ $user != root && " $(id -nG "$user") " != *" createos "* ]] || return 0
    printf 'To do that without sudo: usermod --append --groups createos %s, and log in again.\n' "$user"
}

print_next() {
    local createos=createos
    [[ $(readlink -f "$(type -P createos)") == "$bin/createos" ]] || createos=$bin/createos
    [[ $socket == /run/createos/createosd.sock ]] || createos="CREATEOS_SOCKET=$socket $createos"
    cat <<EOT
Next:
  $createos sandbox exec $name -- cat /etc/os-release
  $createos sandbox create --shape s-1vcpu-1gb --name my-box
  $createos sandbox list
  $createos sandbox rm $name --force
  make down                               stops the daemon, sandboxes keep running
EOT
    print_group
    [[ -d /run/systemd/system ]] && ! systemctl is-enabled --quiet createosd 2>/dev/null || return 0
    cat <<EOT
To have systemd keep the daemon running, from every start of this machine on:
  make down && systemctl link $PWD/engine/createos_engine/systemd/createosd.service
  systemctl enable --now createosd
EOT
}

((EUID == 0)) || die "the engine makes links, rules and machines, and this is user $(id -un)" "sudo make up"
MAKE_TARGET=up scripts/setup.sh
read_settings
if ! ready 0 2>/dev/null; then
    step "Start createosd" start_daemon || explain "createosd did not start"
fi
case $(status_of "$name" || true) in
    running) ;;
    '') step "Create the sandbox $name ($shape)" create_sandbox || explain "the sandbox $name was not created" ;;
    *) die "the sandbox $name is there and does not run" "createos sandbox get $name says why; createos sandbox rm $name --force" ;;
esac
step "Run uname -a in it" run_in_sandbox || explain "the sandbox $name did not run a command"

printf '\n$ createos sandbox exec %s -- uname -a\n' "$name"
cat "$answer"
print_table
print_next
