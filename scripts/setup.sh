#!/usr/bin/env bash
# Install what is missing, build what is missing, start nothing. Takes about a second when there is nothing to do.
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

venv=$PWD/.venv
python=${PYTHON:-python3}
rootfs=(busybox:1 devbox:1 debian:12)

need_root() {
    ((EUID == 0)) && return
    die "$1 needs root, and this is user $(id -un)" "sudo make ${MAKE_TARGET:-setup}"
}

check_python() {
    command -v "$python" >/dev/null || die "there is no $python" "apt-get install python3"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' && return
    die "$("$python" --version) is too old, 3.11 is the oldest that works" "make setup PYTHON=/path/to/python3.11"
}

# Wanted Debian packages that dpkg does not know as installed.
missing_packages() {
    local wanted installed
    wanted=$(sed 's/#.*//; s/ *$//; /^$/d' scripts/packages.txt | sort)
    # dpkg-query fails when one name is unknown, and still answers for the others.
    # shellcheck disable=SC2016  # the braces are dpkg-query's
    installed=$(xargs dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' <<<"$wanted" 2>/dev/null \
        | sed -n 's/^ii *//p' | sort -u) || true
    comm -23 <(printf '%s\n' "$wanted") <(printf '%s\n' "$installed")
}

have_package_lists() {
    compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null
}

# RUNLEVEL=1 tells invoke-rc.d that no service belongs started now; needrestart must not restart any either.
apt_get() {
    env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 NEEDRESTART_SUSPEND=1 \
        apt-get -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 -qq "$@"
}

install_packages() {
    local missing
    command -v dpkg-query >/dev/null || die "this is not a Debian system, and the names of packages are Debian's" \
        "install the equivalents of scripts/packages.txt, then run 'make venv images'"
    mapfile -t missing < <(missing_packages)
    # The kernel and the root file systems come from the package lists, too.
    if ((${#missing[@]} == 0)) && have_package_lists; then
        return
    fi
    need_root "installing ${missing[*]:-package lists}"
    step "Refresh the package lists" apt_get update
    ((${#missing[@]} == 0)) || step "Install ${#missing[@]} Debian packages" \
        apt_get install --yes --no-install-recommends "${missing[@]}"
}

# QEMU runs as libvirt-qemu, which may open /dev/kvm where there is such a group; group createos may use the API socket.
add_user() {
    if ! getent group createos >/dev/null; then
        need_root "adding the group createos"
        groupadd --system createos
    fi
    if ! getent passwd libvirt-qemu >/dev/null; then
        need_root "adding the user libvirt-qemu"
        useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin libvirt-qemu
    fi
    if getent group kvm >/dev/null && [[ " $(id -nG libvirt-qemu) " != *" kvm "* ]]; then
        need_root "adding libvirt-qemu to the group kvm"
        usermod --append --groups kvm libvirt-qemu
    fi
}

# done_for PART FILE…: true if PART was installed from these very files, in this place and for this Python.
done_for() {
    [[ -f $venv/.$1 && $(<"$venv/.$1") == "$(key_of "${@:2}")" ]]
}

key_of() {
    { printf '%s\n' "$PWD" "$("$python" --version)" && cat "$@"; } | sha256sum
}

pip_install() {
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input "$@"
}

# The lock's entry for what builds libvirt-python: it comes first, so that no build fetches an unpinned one.
build_tools() {
    awk '/^[^ ]/ {take = /^setuptools==/} take' requirements.lock
}

install_locked() {
    pip_install --require-hashes --requirement <(build_tools) \
        && pip_install --require-hashes --no-build-isolation --requirement requirements.lock
}

# False for a folder that was moved, too: the commands in it name the old place.
usable_venv() {
    grep -qsF "$venv" "$venv/bin/activate" \
        && "$venv/bin/python" -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

install_venv() {
    if ! usable_venv; then
        step "Create the virtual environment" "$python" -m venv --clear "$venv"
    fi
    if ! done_for locked requirements.lock; then
        step "Install the locked Python packages" install_locked
        key_of requirements.lock >"$venv/.locked"
    fi
    if ! done_for installed pyproject.toml; then
        step "Install createos-local itself" pip_install --no-deps --no-build-isolation --editable .
        key_of pyproject.toml >"$venv/.installed"
    fi
}

# The two commands on the PATH, unless somebody else's are there: the official client is also called createos.
link_commands() {
    local name link found
    for name in createos createosd; do
        link=/usr/local/bin/$name
        if [[ -w /usr/local/bin && ! -e $link ]]; then
            ln -sfn "$venv/bin/$name" "$link"
        fi
        found=$(command -v "$name" || true)
        [[ $(readlink -f "${found:-/nonexistent}") == "$venv/bin/$name" ]] \
            || say "  note: $name on the PATH is ${found:-missing}, this one is $venv/bin/$name"
    done
}

images() {
    "$venv/bin/python" -m createos_images --cache "$cache_dir" "$@"
}

build_images() {
    local name
    read_settings
    step "Build guest kernel, agent and initramfs" images boot
    step "Build the tools disk" images tools
    for name in "${rootfs[@]}"; do
        step "Build root file system $name" images build "$name"
    done
}

check_python
case ${1:-all} in
    venv) install_venv ;;
    images) build_images ;;
    all)
        install_packages
        add_user
        install_venv
        link_commands
        build_images
        ;;
    *) die "unknown part $1" "setup.sh [all|venv|images]" ;;
esac
