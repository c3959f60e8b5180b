# A PostgreSQL server for as long as standard input is open; `$1` is its port. It prints its directory when it
# accepts connections.
#
# The process that starts the server holds the other end of the pipe, so the server ends with that process.
set -eu
trap '' HUP INT TERM PIPE # the terminal's signals are for the tests, and nobody may be left to talk to
dir=$(mktemp -d)
cd "$dir"
end() {
    [ ! -e data/postmaster.pid ] || pg_ctl --pgdata=data --silent --mode=immediate --wait stop
    rm -rf "$dir"
}
trap end EXIT
for bin in /usr/lib/postgresql/*/bin; do PATH="$PATH:$bin"; done
say_why() { cat log >&2; exit 1; }
initdb --pgdata=data --username=postgres --auth=trust --encoding=UTF8 --locale=C --no-sync >log 2>&1 || say_why
pg_ctl --pgdata=data --log=log --silent --wait start --options="-p $1 -F -c listen_addresses=127.0.0.1 \
    -c unix_socket_directories=$dir -c max_connections=200" || say_why
echo "$dir"
cat >/dev/null
