# A RabbitMQ server for as long as standard input is open; `$1` is its port, `$2` the one of Erlang's distribution, and `$3`
# the one of Erlang's port mapper. Each line of standard input is a command, and a line of output says that it is done.
#
# The process that starts the server holds the other end of the pipe, so the server ends with that process.
set -eu
trap '' HUP INT TERM PIPE # the terminal's signals are for the tests
dir=$(mktemp -d)
cd "$dir"
# The script on the PATH would change to the user `rabbitmq` and its directory. As under systemd, the script of RabbitMQ
# becomes the server, instead of waiting for it.
program=/usr/lib/rabbitmq/bin/rabbitmq-server
export RUNNING_UNDER_SYSTEMD=1
export HOME="$dir" ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT="$3" RABBITMQ_DIST_PORT="$2" RABBITMQ_NODENAME="test$1@localhost" \
    RABBITMQ_MNESIA_BASE="$dir/mnesia" RABBITMQ_LOG_BASE="$dir/log" RABBITMQ_ENABLED_PLUGINS_FILE="$dir/plugins" \
    RABBITMQ_CONFIG_FILE="$dir/rabbitmq.conf" RABBITMQ_CONF_ENV_FILE="$dir/none" RABBITMQ_GENERATED_CONFIG_DIR="$dir/config" \
    RABBITMQ_FEATURE_FLAGS_FILE="$dir/flags" RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}"
printf 'listeners.tcp.1 = 127.0.0.1:%s\n' "$1" >rabbitmq.conf
echo '[].' >plugins
epmd -address 127.0.0.1 -port "$3" >/dev/null 2>&1 &
epmd=$!
server=
end() {
    [ -z "$server" ] || { kill -KILL "$server" || true; wait "$server" 2>/dev/null || true; }
    server=
}
trap 'end; kill -KILL "$epmd" || true; cd /; rm -rf "$dir"' EXIT
start() {
    : >output # `grep` must not find the line of an earlier start
    "$program" >output 2>&1 &
    server=$!
    until grep -q 'Starting broker... completed' output; do
        kill -0 "$server" || { cat output >&2; exit 1; }
        sleep 0.05
    done
}
start
echo started
while read -r command; do
    case $command in
        start) start ;;
        kill) end ;;
    esac
    echo "$command"
done
