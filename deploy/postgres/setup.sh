#!/bin/sh
# Runs at every `up`: creates a role and a database for each service, including ones added later.
set -eu
for verifier in /run/config/*.scram; do
    service=$(basename "$verifier" .scram)
    psql --quiet --no-psqlrc --set=ON_ERROR_STOP=1 --set=service="$service" --set=verifier="$(cat "$verifier")" \
        --file=/run/config/service.sql
done
