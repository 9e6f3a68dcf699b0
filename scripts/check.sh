#!/usr/bin/env bash
# The checks that need no root and no virtual machine. All of them run; one failure fails the whole.
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

[[ -x .venv/bin/ruff ]] || die "there is no virtual environment here" "sudo make setup"
export PATH=$PWD/.venv/bin:$PATH
failed=()

check() {
    step "$@" || failed+=("$1")
}

go_vet() {
    local unformatted
    cd images/agent && go vet ./... && unformatted=$("$(go env GOROOT)/bin/gofmt" -l .) || return
    [[ -z $unformatted ]] || { printf 'not formatted, run gofmt -w on: %s\n' "$unformatted"; return 1; }
}

go_checks() {
    (go_vet)
}

shell_checks() {
    if command -v shellcheck >/dev/null; then
        check "Shell" shellcheck -x scripts/*.sh .ci/run
    else
        say "  --  Shell: not checked, there is no shellcheck (apt-get install shellcheck)"
    fi
}

check "Format (ruff format puts it right)" ruff format --check .
check "Lint" ruff check .
check "Types" mypy
check "Layers" lint-imports
check "Spelling" codespell
shell_checks
check "Go" go_checks

quick_tests -q || failed+=("tests")
((${#failed[@]} == 0)) || die "failed: $(IFS=,; printf '%s' "${failed[*]}")"
