#!/bin/sh
# Makes a bare Debian 12 ready for the project:   tools/set_up.sh base|vm
#
# base: Debian packages, and the virtual environment .venv with the project and what it needs.
# vm:   Debian packages of the virtual machine, and its kernel, unpacked in the user's cache.
#
# Says what it installs, installs only what is missing, and needs root only for that. No service of
# a package is started, and Open vSwitch's is not left to start at boot.

set -eu
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

missing_packages() { # FILE
    sed -e '/^#/d' -e 's/ .*//' "$1" | while read -r package; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
            printf '%s ' "$package"
    done
}

refresh_package_lists() {
    # Some other source on this machine may be out of order; what we need may be there still.
    apt-get update -q || say 'not every package list could be refreshed; trying all the same'
}

install_packages() { # FILE
    command -v apt-get >/dev/null && command -v dpkg-query >/dev/null ||
        die "this needs Debian 12 or a relative of it (apt-get); elsewhere, install what $1 names"
    missing=$(missing_packages "$1")
    [ -n "$missing" ] || return 0
    [ "$(id -u)" = 0 ] || die "Debian packages are missing; as root, run
    apt-get update && apt-get install --no-install-recommends $missing
and then make again"
    say "installing the Debian packages $missing"
    export DEBIAN_FRONTEND=noninteractive
    refresh_package_lists
    # shellcheck disable=SC2086  # a list of names
    apt-get install -q -y --no-install-recommends --no-remove \
        -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 $missing ||
        die 'apt-get could not install them (see above)'
    case " $missing " in *" openvswitch-switch "*) leave_switch_off ;; esac
}

# Whoever uses Open vSwitch on this machine had it before; here it is for programs that start their
# own.
leave_switch_off() {
    say "Open vSwitch's service stays off; to have it: systemctl enable --now openvswitch-switch"
    if command -v systemctl >/dev/null; then
        systemctl --quiet disable openvswitch-switch.service ovs-record-hostname.service
    fi
}

# A python3 in front of Debian's on the PATH may be too old, or without venv.
find_python() {
    for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11 /usr/bin/python3; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
            2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    die 'no Python 3.11 or newer with venv found; name one: make setup PYTHON=/path/to/python3'
}

make_environment() {
    if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
        python=$(find_python)
        say "making .venv with $python ($("$python" --version))"
        "$python" -m venv --clear .venv
    fi
    say 'installing into .venv, from PyPI, with what they need themselves:' \
        "$(.venv/bin/python tools/requirements.py | tr '\n' ' ')"
    .venv/bin/python -m pip install -q --disable-pip-version-check -e '.[dev]' ||
        die 'pip could not install them (see above)'
}

# What a package's scripts ask before they start its services: no, this time. A policy that the
# machine has already is its administrator's, and stays.
without_services() { # COMMAND...
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ] && [ "$(id -u)" = 0 ]; then
        trap 'rm -f "$policy"' EXIT
        trap 'exit 1' HUP INT TERM
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        "$@"
        rm -f "$policy"
        trap - EXIT HUP INT TERM
    else
        "$@"
    fi
}

fetch_kernel() {
    [ "$(dpkg --print-architecture)" = amd64 ] || die 'the virtual machine is made for amd64 only'
    if ! .venv/bin/python -m tests.vm.kernel --cached; then
        say "fetching Debian's kernel for the virtual machine (it is not installed)"
        if [ "$(id -u)" = 0 ] && [ -z "$(apt-cache show linux-image-amd64 2>/dev/null)" ]; then
            refresh_package_lists
        fi
        .venv/bin/python -m tests.vm.kernel
    fi
}

case "${1:-}" in
base)
    without_services install_packages tools/debian-packages.txt
    make_environment
    ;;
vm)
    install_packages tools/debian-packages-vm.txt
    fetch_kernel
    ;;
*) die 'usage: tools/set_up.sh base|vm' ;;
esac
say "$1 is ready"
