# Reads the backup $1 from standard input, as a tar of its files.
rm -rf "$1.part"
mkdir "$1.part"
trap 'rm -rf "/backups/$1.part"' EXIT
tar --extract --directory="$1.part"
intact "$1.part"
sync
mv -T "$1.part" "$1"
