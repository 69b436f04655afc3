# What the clients' run scripts share: it is sourced.
#
# A client that cannot be installed is skipped, with the reason as the last line; whatever else goes wrong fails it.
set -euo pipefail

client=$(cd "$(dirname "${BASH_SOURCE[1]}")" && pwd)

# How long one installation from a registry may take.
INSTALL_SECONDS=300

skip() {
    printf '%s\n' "$*"
    exit 77
}

bounded() {
    if command -v timeout >/dev/null; then
        timeout -k 10 "$INSTALL_SECONDS" "$@"
    else
        "$@"
    fi
}

# Skips where Node.js is missing or older than version $1.
need_node() {
    command -v npm >/dev/null || skip "Node.js is missing"
    node -e "process.exit(parseInt(process.versions.node) >= $1 ? 0 : 1)" || skip "Node.js $(node --version) is older than $1"
}

# Installs what package-lock.json names, and copies the sources that follow beside it; leaves the shell there.
use_npm() {
    local file
    for file in package.json package-lock.json "$@"; do
        cp "$client/$file" "$CLIENT_WORK/"
    done
    cd "$CLIENT_WORK"
    if ! cmp -s package-lock.json installed-lock.json; then
        bounded npm ci --ignore-scripts --no-audit --no-fund --loglevel error || skip "npm could not install the packages"
        cp package-lock.json installed-lock.json
    fi
}

# Makes a virtual environment with what requirements.txt names, and puts it before everything on the path.
use_python() {
    local python=$CLIENT_WORK/venv
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || skip "Python 3.10 or newer is missing"
    if ! cmp -s "$client/requirements.txt" "$CLIENT_WORK/installed.txt" || [ ! -x "$python/bin/python" ]; then
        rm -rf "$python"
        python3 -m venv "$python" || skip "Python makes no virtual environments here"
        bounded "$python/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement "$client/requirements.txt" ||
            skip "pip could not install the packages"
        cp "$client/requirements.txt" "$CLIENT_WORK/installed.txt"
    fi
    PATH=$python/bin:$PATH
    export PYTHONDONTWRITEBYTECODE=1
}
