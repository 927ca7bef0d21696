# Removes the databases in the arguments.
for name in "$@"; do
    echo 'DROP DATABASE IF EXISTS :"name" WITH (FORCE)' | sql postgres --set=name="$name"
done
