# Renames the current database to $2, and $1 to the current name, in one transaction.
sql postgres --set=now="$PGDATABASE" --set=new="$1" --set=kept="$2" <<'SQL'
BEGIN;
SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
WHERE datname IN (:'now', :'new') AND backend_type = 'client backend' \g /dev/null
ALTER DATABASE :"now" RENAME TO :"kept";
ALTER DATABASE :"new" RENAME TO :"now";
COMMIT;
SQL
