# Removes the backups in the arguments.
for name in "$@"; do
    rm -rf "$name"
done
