#!/bin/sh
# Starts PostgreSQL under Patroni, or the given command with the node's settings. The node has the name of its host.
set -eu
PATRONI_NAME=$(hostname)
PATRONI_POSTGRESQL_CONNECT_ADDRESS=$PATRONI_NAME:5432
PATRONI_RESTAPI_CONNECT_ADDRESS=$PATRONI_NAME:8008
PATRONI_REPLICATION_PASSWORD=$(cat /run/config/replicator)
PATRONI_REWIND_PASSWORD=$(cat /run/config/rewind)
PATRONI_RESTAPI_PASSWORD=$(cat /run/config/restapi)
export PATRONI_NAME PATRONI_POSTGRESQL_CONNECT_ADDRESS PATRONI_RESTAPI_CONNECT_ADDRESS
export PATRONI_REPLICATION_PASSWORD PATRONI_REWIND_PASSWORD PATRONI_RESTAPI_PASSWORD
export PATRONICTL_CONFIG_FILE=/run/config/patroni.yml
settings=/run/config/patroni.yml
[ "$PATRONI_NAME" != postgres ] || settings=/run/config # of a folder, Patroni reads each .yml
[ $# -gt 0 ] || set -- patroni "$settings"
exec "$@"
