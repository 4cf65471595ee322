#!/bin/sh
# heartbeat.sh TAG [--] COMMAND [ARGUMENT]...   runs COMMAND and reports its start, end, exit code and output.
# For hosts without Python; heartbeat-run does more. Needs curl 7.55, or wget: BusyBox's shows the secret to `ps`.
# HEARTBEAT_URL and HEARTBEAT_SECRET: from the environment, /etc/heartbeat/TAG.env, /etc/heartbeat/run.env or
# heartbeat-url and heartbeat-secret in $CREDENTIALS_DIRECTORY. TERM and HUP reach the job; INT and QUIT as TERM.
tag=$1
[ $# -gt 0 ] && shift
[ "${1-}" = -- ] && shift
if [ $# -eq 0 ] || [ -z "$tag" ]; then echo "Usage: heartbeat.sh TAG [--] COMMAND [ARGUMENT]..." >&2; exit 2; fi
for file in "/etc/heartbeat/$tag.env" /etc/heartbeat/run.env; do
    [ -r "$file" ] || continue
    while IFS='=' read -r name value || [ -n "$name" ]; do
        value=${value#[\"\']} value=${value%[\"\']}
        case $name in
            HEARTBEAT_URL) HEARTBEAT_URL=${HEARTBEAT_URL:-$value} ;;
            HEARTBEAT_SECRET) HEARTBEAT_SECRET=${HEARTBEAT_SECRET:-$value} ;;
        esac
    done <"$file"
done
credential() { [ -r "${CREDENTIALS_DIRECTORY-}/heartbeat-$1" ] && cat "$CREDENTIALS_DIRECTORY/heartbeat-$1"; }
url=${HEARTBEAT_URL:-$(credential url)} secret=${HEARTBEAT_SECRET:-$(credential secret)}
rid=$(cat /proc/sys/kernel/random/uuid 2>/dev/null) || rid=$(date +%s)-$$
folder=$(mktemp -d 2>/dev/null) || folder=

report() { # SUFFIX FILE: at most a minute; the secret goes through a pipe or a file, not through an argument
    [ -n "$url" ] && [ -n "$secret" ] || { echo "heartbeat.sh: $tag: no URL or no secret" >&2; return; }
    to="$url/ext/heartbeat/$tag/$1?rid=$rid"
    if command -v curl >/dev/null; then
        printf 'Authorization: Bearer %s\n' "$secret" | curl -fsS -m 10 --retry 5 --retry-connrefused -H @- \
            --retry-max-time 50 -o /dev/null --data-binary "@$2" "$to"
    elif wget --version 2>/dev/null | grep -q GNU && [ -n "$folder" ]; then
        (umask 077 && printf 'header = Authorization: Bearer %s\n' "$secret" >"$folder/wgetrc")
        wget --config="$folder/wgetrc" -q -T 10 -t 5 --retry-connrefused --retry-on-http-error=503,429 -O /dev/null \
            --post-file="$2" "$to"
    else # BusyBox: its option -T crashes in some builds
        set -- timeout 10 wget -q -O /dev/null --header "Authorization: Bearer $secret" --post-file "$2" "$to"
        "$@" || { sleep 3 && "$@"; }
    fi || echo "heartbeat.sh: $tag: not reported" >&2
}

run() { # the command in a session, and so a process group, of its own; not at a terminal, which it would lose
    if [ ! -t 0 ] && command -v setsid >/dev/null; then exec setsid "$@"; else exec "$@"; fi
}

group='' stopped=''
for name in TERM INT QUIT; do trap 'stopped=TERM; [ -n "$group" ] && kill -TERM "$group"' $name; done
trap 'stopped=HUP; [ -n "$group" ] && kill -HUP "$group"' HUP
exec 3<&0 4>&1 5>&2
if [ -n "$folder" ] && mkfifo "$folder/out" "$folder/err" "$folder/kept" 2>/dev/null; then
    exec 6<>"$folder/kept" # held by both tees, so that neither waits for a reader that the other one has used up
    tee "$folder/kept" <"$folder/out" >&4 3<&- 5>&- &
    tee "$folder/kept" <"$folder/err" >&5 3<&- 4>&- &
    { dd bs=1 count=1000 2>/dev/null >"$folder/first"; tail -c 8800 >"$folder/last"; : >"$folder/done"
        cat >/dev/null; } <"$folder/kept" 3<&- 4>&- 5>&- 6>&- &
    (run "$@") <&3 >"$folder/out" 2>"$folder/err" 3<&- 4>&- 5>&- 6>&- &
    exec 6>&-
else # without a temporary folder the job's output is not sent
    (run "$@") <&3 3<&- 4>&- 5>&- &
fi
job=$! group=$! begun=$(date +%s) code=''
[ ! -t 0 ] && command -v setsid >/dev/null && group=-$job
[ -n "$stopped" ] && kill "-$stopped" "$group"
report start /dev/null 3<&- &
while :; do # a signal ends `wait`, not the job
    before=$code
    wait "$job"
    code=$?
    case $code in 129 | 130 | 131 | 143) [ -n "$stopped" ] || break; stopped='' ;; *) break ;; esac
done
[ "$code" = 127 ] && code=${before:-127}
trap 'exit "$code"' TERM INT HUP QUIT
line="[exit code $code after $(($(date +%s) - begun)) s; on $(uname -n)]"
if [ -p "$folder/kept" ]; then
    for _ in 1 2 3 4 5; do # processes that the job leaves behind may keep its output open
        [ -e "$folder/done" ] && break
        sleep 0.2 2>/dev/null || sleep 1
    done
    { cat "$folder/first"; [ "$(wc -c <"$folder/last")" -lt 8800 ] || printf '\n[... bytes are missing here ...]\n'
        cat "$folder/last"; printf '\n%s\n' "$line"; } >"$folder/body"
    report "$code" "$folder/body"
else
    report "$code" /dev/null
fi
[ -n "$folder" ] && rm -rf "$folder"
exit "$code"
