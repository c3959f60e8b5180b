# A NATS server for as long as standard input is open; `$1` is its port and `$2` the lines of its configuration, in which
# `@dir@` is its directory. Each line of standard input is a command, and a line of output says that it is done.
#
# The process that starts the server holds the other end of the pipe, so the server ends with that process.
set -eu
trap '' HUP INT TERM PIPE # the terminal's signals are for the tests
PATH="$PATH:/usr/sbin:/usr/local/sbin"
dir=$(mktemp -d)
cd "$dir"
server=
end() {
    [ -z "$server" ] || { kill -KILL "$server" || true; wait "$server" 2>/dev/null || true; }
    server=
}
trap 'end; cd /; rm -rf "$dir"' EXIT
printf 'listen: "127.0.0.1:%s"\n%s' "$1" "$2" | sed "s|@dir@|$dir|" >config
start() {
    : >log # `grep` must not find the line of an earlier start
    nats-server --config config >log 2>&1 &
    server=$!
    until grep -q 'Server is ready' log; do
        kill -0 "$server" || { cat log >&2; exit 1; }
        sleep 0.02
    done
}
start
echo started
while read -r command; do
    case $command in
        start) start ;;
        kill) end ;;
        pause) kill -STOP "$server" ;;
        resume) kill -CONT "$server" ;;
    esac
    echo "$command"
done
