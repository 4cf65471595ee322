#!/bin/sh
# Makes sure that Prometheus and Alertmanager are there, and starts the demo. Called by `make demo`.
set -eu
missing=""
command -v prometheus >/dev/null 2>&1 || missing="$missing prometheus"
command -v prometheus-alertmanager >/dev/null 2>&1 || command -v alertmanager >/dev/null 2>&1 || missing="$missing prometheus-alertmanager"
if [ -n "$missing" ]; then
    command -v apt-get >/dev/null 2>&1 || { echo "The demo needs$missing on the PATH: install them, and try again." >&2; exit 1; }
    sudo=""; [ "$(id -u)" = 0 ] || sudo=sudo
    echo "Installing Debian's$missing …"
    $sudo apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing ||
        { echo "They could not be installed: install$missing yourself, and try again." >&2; exit 1; }
fi
exec "$BIN/python" examples/demo/demo.py
