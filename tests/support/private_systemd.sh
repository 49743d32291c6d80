#!/bin/bash
# The machine of one test: a real systemd as process 1 of its own namespaces, on an overlay of this
# machine's files that is gone with it. Started by private_systemd.py inside `unshare`; $1 is an
# empty folder, $2 the folder that both sides see as /exchange, the others are needed inside.
set -e
work=$1 exchange=$2
shift 2
mount --make-rprivate /
mount -t tmpfs tmpfs "$work"
mkdir "$work/upper" "$work/work" "$work/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/work" "$work/root"
root=$work/root

mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys" 2>/dev/null || mount --rbind /sys "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mkdir -p "$root/exchange"
mount --bind "$exchange" "$root/exchange"

# A service's dynamic user has to reach these, though they may lie below a home directory, or on
# another file system, which the overlay does not show.
for needed in "$@"; do
    if [ -z "$(ls -A "$root$needed" 2>/dev/null)" ]; then
        mkdir -p "$root$needed"
        mount --rbind "$needed" "$root$needed"
    fi
    above=$needed
    while [ "$above" != / ]; do
        above=$(dirname "$above")
        chmod a+rx "$root$above"
    done
done
# No unit of this machine is started but the journal: what is not wanted by our target is not there.
rm -rf "$root/var/log/journal" "$root/etc/systemd/system"
mkdir -p "$root/etc/systemd/system" "$root/etc/systemd/journald.conf.d"
printf '[Journal]\nStorage=volatile\nRateLimitBurst=0\n' > "$root/etc/systemd/journald.conf.d/test.conf"
cp -a "$exchange/etc/." "$root/etc/"
cp -a "$exchange/usr/." "$root/usr/"

mkdir "$root/old"
cd "$root"
pivot_root . old
umount -l /old
ip link set lo up 2>/dev/null || true
export container=unshare
exec /usr/lib/systemd/systemd --system --unit=test.target --show-status=false --log-target=journal
