# Reads "+ PID" and "- PID" on its standard input. When that closes, because this process closed it or was killed, it
# sends SIGTERM to the groups that are left, after three seconds SIGQUIT (PostgreSQL then stops at once and removes its
# lock file), after another one SIGKILL. Then it removes the folder it was given.
trap '' INT TERM HUP TSTP QUIT
alive=' '
while read -r sign pid; do
  case $sign in
    +) alive="$alive$pid " ;;
    -) case $alive in *" $pid "*) alive="${alive%% $pid *} ${alive#* $pid }" ;; esac ;;
  esac
done
some_are_left() {
  for pid in $alive; do kill -s 0 -- -$pid && return 0; done
  return 1
}
send() { # SIGNAL, tenths of a second to wait
  for pid in $alive; do kill -s "$1" -- -$pid; done
  tenths=$2
  while [ "$tenths" -gt 0 ] && some_are_left; do sleep 0.1; tenths=$((tenths - 1)); done
}
send CONT 0
send TERM 30
send QUIT 10
send KILL 0
if [ -n "$1" ]; then rm -rf "$1"; fi
