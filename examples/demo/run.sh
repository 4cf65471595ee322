#!/bin/sh
# Makes sure that Prometheus and Alertmanager are there, and starts the demo. Called by `make demo`.
set -eu
missing=""
command -v prometheus >/dev/null || missing="$missing prometheus"
command -v prometheus-alertmanager >/dev/null || command -v alertmanager >/dev/null || missing="$missing prometheus-alertmanager"

install_missing() {
    command -v apt-get >/dev/null || return 1
    sudo=""
    [ "$(id -u)" = 0 ] || sudo=sudo
    echo "Installing Debian's packages$missing …"
    # shellcheck disable=SC2086
    $sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing
}

if [ -n "$missing" ]; then
    install_missing || {
        echo "The demo needs programs that are missing and could not be installed here:$missing." >&2
        echo "Install them, by Debian's package or from https://prometheus.io/download/, put them on the PATH, and try again." >&2
        exit 1
    }
    echo "Debian starts them as services as well, which the demo does not need. To have the demo only:"
    echo "  sudo systemctl disable --now$missing"
fi
exec "$BIN/python" examples/demo/demo.py
