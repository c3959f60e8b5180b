#!/usr/bin/env bash
# Installs the programs that the tests need, if they are absent: install.sh nginx haproxy pg_ctl prometheus chromium
# nats-server rabbitmq-server
#
# Debian's packages, by root, without questions and without starting their services. Exits with 1
# and prints the reason on standard error if that fails. The script takes seven minutes at most.
set -euo pipefail

# The programs are in sbin, which a user's PATH often lacks.
export PATH="$PATH:/usr/sbin:/usr/local/sbin" DEBIAN_FRONTEND=noninteractive LC_ALL=C
# Debian does not put the programs of a PostgreSQL server on the PATH.
for bin in /usr/lib/postgresql/*/bin; do PATH="$PATH:$bin"; done

absent() {
    for name in "$@"; do
        command -v "$name" >/dev/null || printf '%s ' "$name"
    done
}

give_up() {
    echo "$*" >&2
    exit 1
}

get() {
    timeout --kill-after=5 "$1" apt-get -qq -o Acquire::Retries=1 -o Acquire::http::Timeout=20 \
        -o DPkg::Lock::Timeout=60 "${@:2}" >/dev/null
}

# The smaller package of nginx is not in every release; `pg_ctl` is a part of PostgreSQL's, and
# `h2load` of nghttp2's clients.
packages() {
    for name in "$@"; do
        if [ "$name" = nginx ] && apt-cache show nginx-light >/dev/null 2>&1; then
            echo nginx-light
        elif [ "$name" = pg_ctl ]; then
            echo postgresql
        elif [ "$name" = h2load ]; then
            echo nghttp2-client
        else
            echo "$name"
        fi
    done
}

# The download may hang, so it comes first: then no time limit ends dpkg in the middle of its work.
fetch() {
    # shellcheck disable=SC2046  # one word for each package
    get 60 install --yes --no-install-recommends --download-only $(packages "$@") 2>/dev/null
}

# A package starts its service when it is installed, and a test must leave none on port 80.
forbid_services() {
    local policy=/usr/sbin/policy-rc.d
    [ ! -e "$policy" ] || return 0
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
}

read -ra wanted < <(absent "$@"; echo)
[ ${#wanted[@]} -gt 0 ] || exit 0
command -v apt-get >/dev/null || give_up "${wanted[*]}: not installed, and there is no apt-get"
[ "$(id -u)" = 0 ] || give_up "${wanted[*]}: not installed, and only root may install packages"

# Other tests may run this script at the same time. Every Debian has the directory.
exec 9</var/lib/dpkg
flock --wait 120 9 || give_up "${wanted[*]}: others have been installing for two minutes"
read -ra wanted < <(absent "$@"; echo)
[ ${#wanted[@]} -gt 0 ] || exit 0

fetch "${wanted[@]}" || { get 60 update 2>/dev/null && fetch "${wanted[@]}"; } ||
    give_up "${wanted[*]}: not installed, and apt-get cannot fetch them"
forbid_services
# shellcheck disable=SC2046
get 120 install --yes --no-install-recommends --no-download $(packages "${wanted[@]}") ||
    give_up "${wanted[*]}: apt-get cannot install them"
read -ra wanted < <(absent "$@"; echo)
[ ${#wanted[@]} -eq 0 ] || give_up "${wanted[*]}: still absent after the installation"
