#!/bin/sh
# Makes support-call.ogg from the words in support-call.json, and writes the measured times back into it.
# Needs espeak-ng, sox, oggenc (vorbis-tools) and jq. Run it after changing the words.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rate=22050
silence() { sox -n -r $rate -c 1 -b 16 "$1" trim 0 "$2"; }

silence "$work/000.wav" 0.4
at=0.4
times=""
count=$(jq '.entries[0].utterances | length' support-call.json)
i=0
while [ "$i" -lt "$count" ]; do
  n=$(printf '%03d' $((i + 1)))
  text=$(jq -r ".entries[0].utterances[$i].text" support-call.json)
  case $(jq -r ".entries[0].utterances[$i].speaker" support-call.json) in
    0) voice=en-gb-x-rp+f4 pitch=58 speed=155 ;;
    *) voice=en-us+m3 pitch=38 speed=150 ;;
  esac
  espeak-ng -v "$voice" -p $pitch -s $speed -w "$work/raw.wav" "$text"
  # The silence around the speech is cut, so that the times are those of the speech.
  sox "$work/raw.wav" -r $rate -c 1 -b 16 "$work/$n-a.wav" \
    silence 1 0.01 0.5% reverse silence 1 0.01 0.5% reverse gain -n -4
  silence "$work/$n-b.wav" 0.45
  length=$(soxi -D "$work/$n-a.wav")
  times="$times$(awk -v a="$at" -v l="$length" 'BEGIN { printf "[%.3f,%.3f],", a, a + l }')"
  at=$(awk -v a="$at" -v l="$length" 'BEGIN { printf "%.6f", a + l + 0.45 }')
  i=$((i + 1))
done
sox "$work"/0*.wav "$work/call.wav"
oggenc --quiet --quality 2 --serial 1 --output support-call.ogg "$work/call.wav"
jq --argjson times "[${times%,}]" \
  '.entries[0].utterances |= [., $times] | .entries[0].utterances |= (. as [$u, $t] | [range($u | length) | $u[.] + {start: $t[.][0], end: $t[.][1]}])' \
  support-call.json >"$work/script.json"
mv "$work/script.json" support-call.json
