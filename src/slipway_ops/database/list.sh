# Prints the name, size in bytes and time of verification of each backup.
for name in *Z_*; do
    case $name in *.part | '*Z_*') continue ;; esac
    verified=$(cat "$name/verified" 2>/dev/null || true)
    printf '%s\t%s\t%s\n' "$name" "$(stat -c %s "$name/dump")" "$verified"
done
