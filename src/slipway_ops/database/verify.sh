# Restores the backup $1 into a PostgreSQL inside this container, and compares.
intact "$1"
docker-entrypoint.sh postgres -c fsync=off >/tmp/server 2>&1 &
server=$!
# The image first prepares the database in a server that only listens on a socket.
until pg_isready --quiet --host=127.0.0.1; do
    kill -0 "$server" 2>/dev/null || {
        tail -n 5 /tmp/server >&2
        exit 1
    }
    sleep 0.2
done
pg_restore --no-owner --no-privileges --exit-on-error --dbname="$PGDATABASE" "$1/dump"
compare "$1" "$PGDATABASE"
date -u +%Y-%m-%dT%H:%M:%SZ >"$1/verified.part"
mv "$1/verified.part" "$1/verified"
