#!/bin/sh
# Starts the service with the example configuration and says what to do with it. Called by `make run`.
set -eu
ADDRESS="${ADDRESS:-127.0.0.1:10105}"
umask 077
mkdir -p .run
[ -s .run/secret ] || "$BIN/python" -c 'import secrets; print(secrets.token_urlsafe(24))' > .run/secret
cat <<EOF

Heartbeat Exporter is starting. In another terminal:

  send a heartbeat   curl -fsS -m 10 --retry 5 --retry-connrefused http://$ADDRESS/ext/heartbeat/hello:$(cat .run/secret)
  status page        http://$ADDRESS/
  metrics            curl http://$ADDRESS/metrics

For prometheus.yml:

  scrape_configs:
    - job_name: heartbeat
      static_configs:
        - targets: ["$ADDRESS"]

Ctrl-C stops it; ADDRESS=HOST:PORT listens elsewhere. Its data is in .run/, its configuration in examples/heartbeats.yml.

EOF
exec "$BIN/heartbeat-exporter" serve --config.file examples/heartbeats.yml \
    --storage.url "sqlite:///.run/heartbeats.db" --web.listen-address "$ADDRESS"
