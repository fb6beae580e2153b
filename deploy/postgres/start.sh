#!/bin/sh
# Makes the cluster on the first start. The image's own entrypoint would begin as root and want a superuser password.
set -eu
if [ ! -d "$PGDATA" ]; then
    # Renamed when complete, so that a first start which is killed half-way begins anew.
    rm -rf "$PGDATA.new"
    initdb -D "$PGDATA.new" --username=postgres --auth-local=peer --auth-host=reject --data-checksums \
        --encoding=UTF8 --locale-provider=builtin --builtin-locale=C.UTF-8 --locale=C.UTF-8 >/dev/null
    mv "$PGDATA.new" "$PGDATA"
fi
exec postgres -D "$PGDATA" -c config_file=/run/config/postgresql.conf
