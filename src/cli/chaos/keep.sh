# Runs a program for as long as standard input stays open: sh keep.sh COMMAND [ARGUMENT...]
#
# Prints the program's process id and nothing else; the program's own output goes to standard error. The other end of
# standard input is held by the process that wants the program. When that process ends, be it by SIGKILL, the program is
# killed, frozen or not.

exec 3<&0

"$@" 3<&- </dev/null >&2 &
program=$!
# Whoever wants the id may be gone by now, and the watcher has to end the program all the same.
trap '' PIPE
echo "$program"

{
    while read -r _; do :; done
    kill -s KILL "$program"
} <&3 2>/dev/null >&2 &
watcher=$!
exec 3<&- >&2

wait "$program"
status=$?
kill "$watcher" 2>/dev/null
exit "$status"
