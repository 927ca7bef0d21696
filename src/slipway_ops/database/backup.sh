# Backs the database up; $1 is the version that runs. Says the name of the backup.
find . -maxdepth 1 -name '*.part' -mmin +1440 -exec rm -r {} + # of runs that were killed
migration=$(sql "$PGDATABASE" <<'SQL'
SELECT to_regclass('alembic_version') IS NOT NULL AS migrated \gset
\if :migrated
SELECT string_agg(version_num, '+') FROM alembic_version;
\endif
SQL
)
name=$(date -u +%Y%m%dT%H%M%SZ)_$1_${migration:-none}
mkdir "$name.part"
trap 'rm -rf "/backups/$name.part"' EXIT
cd "$name.part"
# One snapshot for both: rows that are written meanwhile are in neither.
sql "$PGDATABASE" <<SQL
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT pg_export_snapshot() AS snapshot \gset
\setenv SNAPSHOT :snapshot
\o tables
$TABLES
\o
\! pg_dump --format=custom --snapshot="\$SNAPSHOT" --file=dump && sha256sum dump tables >sha256
COMMIT;
SQL
test -s sha256 # without it pg_dump has failed, and said why
sync
mv "/backups/$name.part" "/backups/$name"
echo "$name"
