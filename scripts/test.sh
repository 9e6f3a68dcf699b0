#!/usr/bin/env bash
# Every test, in network, mount and process namespaces of their own: no link, rule or route of the machine is touched, and
# whatever a test leaves running ends with it. Arguments go to pytest, which then runs once and in one process.
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

# Only what fails is of interest.
go_tests() {
    cd images/agent && go test ./... | { grep -Ev '^(ok|\?) ' || true; }
}

inside() {
    ip link set lo up
    export PATH=$PWD/.venv/bin:$PATH
    (step "Go tests of the guest agent" go_tests) || exit 1
    (($#)) && { python -m pytest "$@"; return; }
    quick_tests -q || exit
    # The page of MATRIX is written by one process.
    [[ -z ${MATRIX:-} ]] || { python -m pytest -m 'root or vm'; return; }
    local failed=0
    python -m pytest -q -n 2 --dist loadfile -m 'root or vm' tests/host || failed=1
    python -m pytest -m 'root or vm' --ignore tests/host || failed=1
    return $failed
}

if [[ ${1:-} == --inside ]]; then
    inside "${@:2}"
    exit
fi

[[ -x .venv/bin/pytest ]] || die "there is no virtual environment here" "sudo make setup"
((EUID == 0)) || die "the tests make links, rules and machines, and this is user $(id -un)" "sudo make test, or make check"
# There is no way to Debian's mirror inside.
step "Image in which templates are built" .venv/bin/python -m createos_images build builder:1
# This script itself is process 1 inside: bash reaps what loses its parent, which QEMU's end waits for.
unshare --net --mount --pid --fork --kill-child --mount-proc "$0" --inside "$@"
