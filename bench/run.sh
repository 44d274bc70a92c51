#!/bin/sh
# Starts a throw-away Postgres on loopback, runs the harness with the arguments
# given, and stops Postgres again. Run as root, Postgres itself runs as the
# postgres user. Redis and nats-server are started by the program.
set -eu
cd "$(dirname "$0")"
PGBIN=${HUB_PG_BIN:-$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)}
DIR=$(mktemp -d)
chmod 755 "$DIR"
if [ "$(id -u)" = 0 ]; then
	install -d -o postgres "$DIR/pg"
	as_pg() { su postgres -c "$1"; }
else
	mkdir "$DIR/pg"
	as_pg() { sh -c "$1"; }
fi
stop() { as_pg "$PGBIN/pg_ctl -D $DIR/pg/data -m fast stop" >/dev/null || true; rm -rf "$DIR"; }
as_pg "$PGBIN/initdb -D $DIR/pg/data -A trust -U postgres" >/dev/null
trap stop EXIT
as_pg "$PGBIN/pg_ctl -D $DIR/pg/data -w -l $DIR/pg/log -o '-p 55432 -c listen_addresses=127.0.0.1 -c unix_socket_directories=$DIR/pg -c max_connections=120' start" >/dev/null
go build -o "$DIR/bench" .
"$DIR/bench" -dir "$DIR/work" "$@"
