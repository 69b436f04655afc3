# Runs a server for as long as standard input stays open: sh supervise.sh DIRECTORY COMMAND [ARGUMENT...]
#
# The other end of standard input is held by the process that wants the server. When that process closes it or ends,
# be it by SIGKILL, the server is told to shut down, and its directory is removed. A line names a signal, INT or QUIT:
# the server is ended by it and started anew on the same files. After the line LOSE it is gone at once, and for good.

directory=$1
shift
PATH=$PATH:/usr/bin:/bin
exec 3<&0
restart=$directory/restart

# Where the system offers it, the server shuts down as well when this script is killed.
if setpriv --pdeathsig INT true 2>/dev/null; then
    set -- setpriv --pdeathsig INT "$@"
fi

while :; do
    "$@" 3<&- </dev/null &
    server=$!

    {
        read -r signal || signal=STOP
        case $signal in
            STOP) signal=INT ;;
            LOSE) signal=QUIT ;;
            *) : >"$restart" ;;
        esac
        # The signal is lost on a server that is not yet ready for it, and harmless on one that is shutting down already.
        while kill -s "$signal" "$server"; do sleep 0.05; done
    } <&3 2>/dev/null &
    watcher=$!

    wait "$server"
    status=$?
    kill "$watcher" 2>/dev/null
    [ -e "$restart" ] || break
    rm -- "$restart"
done

rm -rf -- "$directory"
exit "$status"
