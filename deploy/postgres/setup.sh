#!/bin/sh
# Runs at every `up`: creates a role and a database for each service, including ones added later.
set -eu
run() { psql --quiet --no-psqlrc --set=ON_ERROR_STOP=1 "$@"; }

# Each server's socket is in a folder of its own; one of them is the primary.
export PGHOST=''
until [ "$PGHOST" ]; do
    for folder in /var/run/postgresql*; do
        [ "$(PGHOST=$folder run -At -c 'select pg_is_in_recovery()' 2>/dev/null)" = f ] && PGHOST=$folder
    done
    [ "$PGHOST" ] || sleep 1
done
if [ -d /var/run/postgresql-2 ]; then
    # A standby cannot follow before its role exists, so these commits wait for none.
    PGOPTIONS='-c synchronous_commit=local' run --set=replicator="$(cat /run/config/replicator)" \
        --set=rewind="$(cat /run/config/rewind)" --file=/run/config/replication.sql
fi
for verifier in /run/config/*.scram; do
    service=$(basename "$verifier" .scram)
    run --set=service="$service" --set=verifier="$(cat "$verifier")" --file=/run/config/service.sql
done
