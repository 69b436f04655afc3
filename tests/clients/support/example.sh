# For the runs of docs/examples: source it, install, and end with `try_example COMMAND...`.
# shellcheck shell=bash

clients=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC2034
examples=$clients/../../docs/examples

skip() {
    echo "$*"
    exit 77
}

needs() {
    local program
    for program in "$@"; do
        command -v "$program" >/dev/null || skip "$program is missing"
    done
}

# Runs the program as a reader would, and then with everything going wrong that may.
try_example() {
    local transcript
    needs python3
    echo "==> As it is"
    transcript=$(timeout 120 "$@" "$AUDIO" </dev/null)
    echo "$transcript"
    grep -q 'Speaker 1: Good morning, this is Anna from Northwind Freight' <<<"$transcript"
    echo "==> Over a rough network"
    python3 "$clients/support/rough_network.py" "$@" "$AUDIO"
}
