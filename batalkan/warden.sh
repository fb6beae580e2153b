# Reads "+ PID" and "- PID" on its standard input. When that closes, because this process closed it or was killed, it
# sends SIGTERM to the groups that are left, after three seconds SIGKILL. Then it removes the folder it was given.
trap '' INT TERM HUP TSTP
alive=' '
while read -r sign pid; do
  case $sign in
    +) alive="$alive$pid " ;;
    -) case $alive in *" $pid "*) alive="${alive%% $pid *} ${alive#* $pid }" ;; esac ;;
  esac
done
for pid in $alive; do kill -s CONT -- -$pid; kill -s TERM -- -$pid; done
for tenth in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
  left=
  for pid in $alive; do kill -s 0 -- -$pid && left=1; done
  [ -z "$left" ] && break
  sleep 0.1
done
for pid in $alive; do kill -s KILL -- -$pid; done
if [ -n "$1" ]; then rm -rf "$1"; fi
