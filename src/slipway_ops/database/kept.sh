# Prints the names of the databases that restores have kept or left behind.
sql postgres --set=kept="${PGDATABASE}_before_" --set=new="$1" <<'SQL'
SELECT datname FROM pg_database
WHERE starts_with(datname, :'kept') OR datname = :'new' ORDER BY datname;
SQL
