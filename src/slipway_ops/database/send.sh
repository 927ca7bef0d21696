# Writes the files of the backup $1 to standard output, as a tar.
tar --create --directory="$1" .
