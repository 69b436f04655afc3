# For the runs of docs/examples: source it after common.sh, install, and end with `try_example COMMAND...`.

support=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# What is installed and run is the example itself, not a copy.
client=$client/../../../docs/examples/${client##*/example-}

need() {
    local program
    for program in "$@"; do
        command -v "$program" >/dev/null || skip "$program is missing"
    done
}

# Runs the program as a reader would, and then with everything going wrong that may.
try_example() {
    local transcript
    need python3
    echo "==> As it is"
    transcript=$(bounded "$@" "$AUDIO")
    echo "$transcript"
    [[ $transcript == *'Speaker 1: Good morning, this is Anna from Northwind Freight.'* ]]
    echo "==> Over a rough network"
    python3 "$support/rough_network.py" "$@" "$AUDIO"
}
