# Starts a separate systemd in new namespaces, below $1, with the units in $1/units and the store in $1/state, and makes
# it run $1/look. Nothing on the machine is changed, because the new systemd uses its files through an overlay.
set -eu
cd "$1"
mkdir root
mount -t tmpfs none root
mkdir -p root/{proc,sys,dev,run,tmp,old,out,usr,upper,work} root/etc/systemd/system root/var/{lib,log,tmp}
mount -t overlay -o lowerdir=/usr,upperdir=root/upper,workdir=root/work none root/usr
for link in bin sbin lib lib64; do ln -s usr/$link root/$link; done
cp -a /etc/passwd /etc/group /etc/nsswitch.conf /etc/ld.so.cache root/etc/
: >root/etc/machine-id
mount -t proc proc root/proc
mount -t sysfs sysfs root/sys
mount -t cgroup2 none root/sys/fs/cgroup
mount --rbind /dev root/dev
# This must not be the /dev/shm of the machine: when a unit stops, systemd removes what its user and group have there.
mount -t tmpfs none root/dev/shm
mount -t tmpfs none root/run
mount -t tmpfs none root/tmp
mount --bind . root/out
cp -a state root/var/lib/tokenctl
install -m 755 tokenctl root/usr/bin/tokenctl
cp units/* root/etc/systemd/system/
cd root
pivot_root . old
umount -l /old
exec env -i container=other PATH=/usr/sbin:/usr/bin /usr/lib/systemd/systemd --unit=test.target --log-target=null \
    --show-status=no </dev/null
