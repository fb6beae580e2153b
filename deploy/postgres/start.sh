#!/bin/sh
# Creates the cluster on the first start. The image's own entrypoint starts as root and needs a superuser password.
set -eu
if [ ! -d "$PGDATA" ]; then
    # Renamed when complete, so that an interrupted first start begins again.
    rm -rf "$PGDATA.new"
    initdb -D "$PGDATA.new" --username=postgres --auth-local=peer --auth-host=reject --data-checksums \
        --encoding=UTF8 --locale-provider=builtin --builtin-locale=C.UTF-8 --locale=C.UTF-8 >/dev/null
    mv "$PGDATA.new" "$PGDATA"
fi
exec postgres -D "$PGDATA" -c config_file=/run/config/postgresql.conf
