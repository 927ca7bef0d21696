# The beginning of every script. They run in a container of the database's image: the backups are in
# /backups, and PGHOST and the like say where the database is. $TABLES is the text of tables.sql.
set -eu
cd /backups

# Runs SQL, which it reads, in the database $1; writes what it answers, tabs between the columns.
sql() {
    database=$1
    shift
    psql --no-psqlrc --quiet --tuples-only --no-align --field-separator='	' \
        --set=ON_ERROR_STOP=1 --dbname="$database" "$@"
}

# Whether a database has the tables and rows of the backup $1.
compare() {
    echo "$TABLES" | sql "$2" >/tmp/tables
    diff "$1/tables" /tmp/tables >&2 || {
        echo "the tables and rows are not those that were backed up (name, rows, hash)" >&2
        exit 1
    }
}

# Whether the files of the backup $1 are as they were written.
intact() (
    cd "$1"
    sha256sum --check --strict --status sha256 || {
        echo "its files are not as they were written: the checksum differs" >&2
        exit 1
    }
)
