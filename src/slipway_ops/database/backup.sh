# Backs up the database; $1 is the running version. Prints the name of the backup.
find . -maxdepth 1 -name '*.part' -mmin +1440 -exec rm -r {} + # left by killed runs
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
# Both use one snapshot, so that rows written in the meantime are in neither.
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
test -s sha256 # if it is empty, pg_dump failed and printed the reason
sync
mv -T "/backups/$name.part" "/backups/$name" # fails if there is one of the same second
echo "$name"
