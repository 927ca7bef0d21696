# Says how many bytes of the host's disk are free, and how many there are.
df -P -B1 /backups | awk 'NR == 2 { print $4, $2 }'
