# Clears up a home folder ($1) once the test process is gone: ends whoever works in its `disk`,
# unmounts that, and removes the folder. A server is known by its working directory, which holds
# for all its children too and cannot be mistaken, as a process number can.
home=$1
while read -r _; do :; done

ours() {
    for link in /proc/[0-9]*/cwd; do
        if [ "$link" -ef "$home/disk" ] || [ "$link" -ef "$home/disk/data" ]; then
            pid=${link#/proc/}
            echo "${pid%/cwd}"
        fi
    done
}

# QUIT is PostgreSQL's immediate shutdown: the data are thrown away, so nothing need be written.
# KILL after three seconds; give up after thirty.
signal=QUIT
tries=0
while [ "$tries" -lt 600 ]; do
    pids=$(ours)
    [ -n "$pids" ] || break
    [ "$tries" -lt 60 ] || signal=KILL
    kill -s CONT $pids
    kill -s "$signal" $pids
    tries=$((tries + 1))
    sleep 0.05
done

# A PostgreSQL that was killed leaves a segment of shared memory, named in its pid file.
if [ -f "$home/disk/data/postmaster.pid" ]; then
    segment=$(sed -n '7s/.* //p' "$home/disk/data/postmaster.pid")
    [ -z "$segment" ] || ipcrm -m "$segment"
fi

if mountpoint -q "$home/disk"; then
    umount "$home/disk" || umount -l "$home/disk"
fi
# A copy that was still being written may need another round.
for _ in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf "$home" && break
    sleep 0.2
done
