#!/bin/sh
# A server that prints its ports and crashes, and a load generator that waits for the crash and
# reports figures of a fast server all the same.
case $2 in
serve) echo http1 1 h2c 2; exit 0 ;;
load)
    # The process is a zombie until the benchmark looks for its end.
    until grep -q '^State:.Z' "/proc/$5/status"; do sleep 0.01; done
    echo '{"Found":{"cpu":1.0,"rate":1e9}}' ;;
esac
