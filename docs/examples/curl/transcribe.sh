#!/usr/bin/env bash
# Transcribes a file, is told of the end by a signed webhook, prints the transcript and removes what it made:
#
#   GATEWAY_URL=https://gateway.example GATEWAY_KEY=ggw_… ./transcribe.sh FILE
#
# Needs curl, jq, openssl, and socat for the receiver.
set -euo pipefail
: "${GATEWAY_URL:?}" "${GATEWAY_KEY:?}" "${1:?which file?}"
GATEWAY_URL=${GATEWAY_URL%/}
[ -r "$1" ] || { echo "$1 cannot be read" >&2; exit 1; }

umask 077
WORK=$(mktemp -d)
export WORK
mkdir "$WORK/events"
endpoint='' transcription='' receiver=''

# ------------------------------------------------------------------------------------------------------ the receiver

# Answers the one request at standard input. The signature first: until it has been checked, the request is anybody's.
receive() {
    local line value length='' id='' timestamp='' signatures='' body
    read -r line
    while IFS= read -r line && line=${line%$'\r'} && [ -n "$line" ]; do
        value=${line#*: }
        case $(tr '[:upper:]' '[:lower:]' <<<"${line%%:*}") in
            content-length) length=$value ;;
            webhook-id) id=$value ;;
            webhook-timestamp) timestamp=$value ;;
            webhook-signature) signatures=$value ;;
        esac
    done
    [[ $length =~ ^[0-9]{1,6}$ ]] || { answer '413 Content Too Large'; return; }
    body=$(mktemp "$WORK/body.XXXXXX")
    head -c "$length" >"$body"
    is_signed "$id" "$timestamp" "$signatures" "$body" || { answer '401 Unauthorized'; return; }

    # Told at least once: an event that comes again has the same id, and becomes the same file. Whoever works with it
    # does so after the answer, for which the gateway waits 15 seconds.
    mv "$body" "$WORK/events/$id.json"
    answer '204 No Content'
}

answer() { printf 'HTTP/1.1 %s\r\nConnection: close\r\n\r\n' "$1"; }

# Whether one of the signatures is that of "id.timestamp.body", made within five minutes of now.
is_signed() {
    local key expected signature now
    now=$(date +%s)
    [ -s "$WORK/secret" ] || return 1
    [[ $1 =~ ^[A-Za-z0-9_]+$ && $2 =~ ^[1-9][0-9]{0,11}$ ]] || return 1
    (($2 >= now - 300 && $2 <= now + 300)) || return 1
    key=$(sed 's/^whsec_//' "$WORK/secret" | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \n')
    expected=$( (printf '%s.%s.' "$1" "$2"; cat "$4") | hmac "$key" | openssl base64 -A)
    for signature in $3; do
        ! is_same "$signature" "v1,$expected" || return 0
    done
    return 1
}

hmac() { openssl dgst -sha256 -mac HMAC -macopt "hexkey:$1" -binary; }

# Under a key that nobody knows, how long the comparison takes says nothing about the two.
is_same() {
    local key
    key=$(openssl rand -hex 32)
    [ "$(printf %s "$1" | hmac "$key" | openssl base64)" = "$(printf %s "$2" | hmac "$key" | openssl base64)" ]
}

# ----------------------------------------------------------------------------------------------------- the gateway

# A file keeps the key from other users of this machine, who may see the arguments of its programs.
printf 'Authorization: Bearer %s\n' "$GATEWAY_KEY" >"$WORK/authorization"
gateway() { curl -sS --connect-timeout 10 --max-time 900 -H @"$WORK/authorization" "$@"; }

clean_up() {
    [ -z "$endpoint" ] || gateway -o /dev/null -X DELETE "$GATEWAY_URL/v1/webhook-endpoints/$endpoint"
    [ -z "$transcription" ] || gateway -o /dev/null -X DELETE "$GATEWAY_URL/v1/transcriptions/$transcription"
    [ -z "$receiver" ] || kill "$receiver"
    rm -rf "$WORK"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# The receiver listens before anybody is told of it.
: >"$WORK/socat.log"
export -f receive answer is_signed hmac is_same
socat -d -d TCP-LISTEN:0,bind=127.0.0.1,fork EXEC:'bash -c receive' 2>"$WORK/socat.log" &
receiver=$!
until port=$(sed -n 's/.* listening on .*:\([0-9]*\)$/\1/p' "$WORK/socat.log") && [ -n "$port" ]; do
    kill -0 "$receiver"
    sleep 0.1
done

# A service makes its endpoint once, and keeps the secret with its other secrets.
gateway --fail-with-body -H 'Content-Type: application/json' "$GATEWAY_URL/v1/webhook-endpoints" -o "$WORK/endpoint" -d '{
    "url": "http://127.0.0.1:'"$port"'/", "description": "curl example",
    "event_types": ["transcription.done", "transcription.error"]
}' || { cat "$WORK/endpoint" >&2; exit 1; }
jq -j .secret "$WORK/endpoint" >"$WORK/secret"
endpoint=$(jq -r .id "$WORK/endpoint")

# With the key, a request that got no answer may be repeated and makes one transcription all the same. A service takes
# the id of a record of its own, which survives a crash. 409: the first request is still under way.
idempotency_key=$(openssl rand -hex 16)
file=${1//\\/\\\\} file=${file//\"/\\\"}    # curl reads "…" as C does
for pause in 1 2 4 8 16 32 0; do
    read -r status retry_after <<<"$(gateway -X POST "$GATEWAY_URL/v1/transcriptions/upload" \
        -H "Idempotency-Key: $idempotency_key" -F 'options={"diarization": true};type=application/json' -F "audio=@\"$file\"" \
        -o "$WORK/transcription" -w '%{http_code} %header{retry-after}')"
    [[ $status =~ ^(000|409|5..)$ ]] || break
    sleep "${retry_after:-$pause}"
done
[ "$status" = 202 ] || { [ "$status" = 000 ] || cat "$WORK/transcription" >&2; exit 1; }
transcription=$(jq -r .id "$WORK/transcription")
echo "Submitted $transcription" >&2

# The endpoint is told of all that the tenant transcribes; what is told may come before the answer to the upload.
deadline=$((SECONDS + 900)) told=''
until [ -n "$told" ]; do
    ((SECONDS < deadline)) || { echo 'Not told in time' >&2; exit 1; }
    sleep 0.2
    for event in "$WORK"/events/*.json; do
        [ -e "$event" ] || continue
        [ ! -e "$event.known" ] || continue
        touch "$event.known"
        jq -r '"Told: \(.type) of \(.data.transcription_id)"' "$event" >&2
        [ "$(jq -r .data.transcription_id "$event")" != "$transcription" ] || told=$(jq -r .type "$event")
    done
done

if [ "$told" = transcription.error ]; then
    gateway "$GATEWAY_URL/v1/transcriptions/$transcription" | jq .error >&2
    exit 1
fi
gateway --fail-with-body "$GATEWAY_URL/v1/transcriptions/$transcription/export/txt"
