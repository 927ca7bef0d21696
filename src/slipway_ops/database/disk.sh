# Prints the free bytes of the host's disk, and its size.
df -P -B1 /backups | awk 'NR == 2 { print $4, $2 }'
