# Restores the backup $1 into the new database $2, next to the current one, and compares.
intact "$1"
sql postgres --set=new="$2" <<'SQL'
DROP DATABASE IF EXISTS :"new" WITH (FORCE);
CREATE DATABASE :"new" TEMPLATE template0;
SQL
trap 'echo "DROP DATABASE IF EXISTS :\"new\" WITH (FORCE)" | sql postgres --set=new="$2"' EXIT
pg_restore --no-owner --no-privileges --exit-on-error --dbname="$2" "$1/dump"
compare "$1" "$2"
trap - EXIT
