# Removes the backups that are named.
for name in "$@"; do
    rm -rf "$name"
done
