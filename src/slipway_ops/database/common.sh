# The first part of every script. They run in a container of the database's image. The backups are in
# /backups, and PGHOST and others name the database. $TABLES is the text of tables.sql.
set -eu
cd /backups

# Runs SQL from standard input in the database $1; prints the rows, with tabs between the columns.
sql() {
    database=$1
    shift
    psql --no-psqlrc --quiet --tuples-only --no-align --field-separator='	' \
        --set=ON_ERROR_STOP=1 --dbname="$database" "$@"
}

# Checks that the database $2 has the tables and rows of the backup $1.
compare() {
    echo "$TABLES" | sql "$2" >/tmp/tables
    diff "$1/tables" /tmp/tables >&2 || {
        echo "the tables and rows differ from the backup (name, rows, hash)" >&2
        exit 1
    }
}

# Checks the checksums of the files of the backup $1.
intact() (
    cd "$1"
    sha256sum --check --strict --status sha256 || {
        echo "the backup is damaged: a checksum differs" >&2
        exit 1
    }
)
