#!/bin/sh
# Builds what the virtual machine boots from, as root: image.sh DIRECTORY.
#
# DIRECTORY gets qemu/ (unless the machine has one), vmlinuz, initrd and disk.img. Its name carries a hash of this file,
# so a change here makes a new one. Nothing is installed on this machine and nothing outside DIRECTORY is written.
set -eu
dir=$1
mirror=${LXC_VM_MIRROR:-http://deb.debian.org/debian}
suite=bookworm
part=$dir.part
rm -rf "$part"
mkdir -p "$part/debs/partial"
cd "$part"
log=$part/log
exec 3>&1 >"$log" 2>&1
trap 'status=$?; if [ $status != 0 ]; then tail -25 "$log" >&3; fi' EXIT
say() { echo "vm image: $*" >&3; echo "== $*"; }

# apt resolves as if nothing were installed, so that all a program needs is among what it downloads.
fetch() {
    apt-get -q -y -o Dir::State::status=/dev/null -o Dir::Cache::archives="$part/debs" -o Debug::NoLocking=1 \
        -o APT::Sandbox::User=root --no-install-recommends --download-only install "$@"
}

say "Debian with systemd and AppArmor"
debootstrap --variant=minbase --include="$(echo systemd systemd-sysv systemd-container dbus dbus-user-session \
    libpam-systemd apparmor uidmap busybox-static iproute2 crun runc kmod procps psmisc passwd login libseccomp2 \
    util-linux libcap2-bin strace nftables iptables dnsmasq-base e2fsprogs acl less python3 | tr ' ' ,)" \
    "$suite" root "$mirror"
rm -rf root/var/cache/apt/archives/*.deb root/var/lib/apt/lists/* root/usr/share/doc root/usr/share/locale

say "the guest: a Debian with systemd"
guest=root/var/cache/lxc-rs-test/debian-bookworm
if [ -e /var/cache/lxc-rs-test/debian-bookworm/usr/lib/systemd/systemd ]; then
    mkdir -p "${guest%/*}"
    cp -a /var/cache/lxc-rs-test/debian-bookworm "$guest"
else
    mkdir -p "${guest%/*}"
    debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,iproute2,login,util-linux \
        "$suite" "$guest" "$mirror"
    chroot "$guest" passwd -d root
fi
rm -rf "$guest"/var/cache/apt/archives/*.deb "$guest"/var/lib/apt/lists/* "$guest"/usr/share/doc "$guest"/usr/share/locale

say "the kernel"
kernel=$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | head -1)
(cd debs && apt-get -q -o APT::Sandbox::User=root download "$kernel")
mkdir kernel
dpkg-deb -x debs/"$kernel"_*.deb kernel
release=$(ls kernel/lib/modules)
cp kernel/boot/vmlinuz-* vmlinuz
from=kernel/lib/modules/$release
to=root/usr/lib/modules/$release
mkdir -p "$to/kernel/drivers/net"
cp "$from"/modules.builtin* "$from"/modules.order "$to"
for tree in arch block crypto fs lib mm net virt drivers/virtio drivers/block drivers/vhost drivers/char; do
    mkdir -p "$to/kernel/$tree"
    cp -r "$from/kernel/$tree/." "$to/kernel/$tree"
done
cp "$from"/kernel/drivers/net/*.ko "$to/kernel/drivers/net"
cp -r "$from"/kernel/drivers/net/ipvlan "$from"/kernel/drivers/net/vxlan "$to/kernel/drivers/net"
chroot root depmod "$release"

say "the initial file system"
mkdir -p initrd.d/bin initrd.d/dev initrd.d/proc initrd.d/sys initrd.d/new initrd.d/modules
cp root/bin/busybox initrd.d/bin/busybox
: >initrd.d/modules/order
for module in virtio_pci virtio_blk crc32c_generic ext4 9pnet_virtio 9p; do
    # modules.dep names what a module needs last to first.
    grep "/$module\.ko:" "$to/modules.dep" | tr -d : | awk '{ for (i = NF; i > 0; i--) print $i }'
done | awk '!seen[$0]++' | while read -r file; do
    cp "$to/$file" "initrd.d/modules/${file##*/}"
    echo "${file##*/}" >>initrd.d/modules/order
done
cat >initrd.d/init <<'INIT'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t devtmpfs dev /dev
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
while read -r module; do $b insmod "/modules/$module"; done </modules/order
$b mount -t ext4 -o noatime /dev/vda /new || exec $b sh
# What is under test comes with each boot: a tree installed at / and the tests.
$b mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,ro host /new/host || exec $b sh
$b tar -C /new -xf /new/host/root.tar || exec $b sh
$b umount /proc /sys
exec $b switch_root /new /sbin/init
INIT
chmod 755 initrd.d/init
(cd initrd.d && find . | root=0 ../root/bin/busybox cpio -o -H newc | gzip -1) >initrd

say "the root file system"
mkdir -p root/host root/etc/systemd/system/console-getty.service.d root/var/lib/systemd/linger
echo lxcvm >root/etc/hostname
printf '127.0.0.1 localhost lxcvm\n' >root/etc/hosts
printf '/dev/vda / ext4 noatime 0 1\n' >root/etc/fstab
rm -f root/etc/machine-id && printf '%s\n' 5f0c1d7e9b3a4c0a8d6e2f1a7b9c3d5e >root/etc/machine-id
chroot root passwd -d root
for user in tester other; do
    chroot root useradd -m -s /bin/bash "$user"
done
grep . root/etc/subuid root/etc/subgid
# As after a login: the user's systemd runs from boot, and stays.
touch root/var/lib/systemd/linger/tester
# There is no udev, so no unit for the serial line: the console's getty does not ask for one.
cat >root/etc/systemd/system/console-getty.service.d/login.conf <<'UNIT'
[Service]
ExecStart=
ExecStart=-/sbin/agetty --autologin root --keep-baud 115200 - vt220
UNIT
cat >root/etc/systemd/system/vm-agent.service <<'UNIT'
[Unit]
Description=Runs what cargo xtask vm asks for
After=systemd-user-sessions.service dbus.service apparmor.service
[Service]
ExecStart=/usr/local/sbin/vm-agent
# What a command leaves running, a container say, is nobody's to kill; its control group is its own affair.
KillMode=process
Restart=always
Environment=HOME=/root USER=root LOGNAME=root SHELL=/bin/bash TERM=dumb LXC_VM=1
[Install]
WantedBy=multi-user.target
UNIT
cat >root/usr/local/sbin/vm-agent <<'AGENT'
#!/bin/bash
# One command a line: TOKEN SECONDS BASE64. Its output goes back as it comes, then a line TOKEN STATUS.
for name in /sys/class/virtio-ports/*/name; do
    [ "$(cat "$name")" = agent ] && port=/dev/$(basename "$(dirname "$name")")
done
exec 3<>"$port"
echo agent-ready >&3
while read -r token limit text <&3; do
    echo "$text" | base64 -d >/run/vm-agent.command
    cd /root && timeout -k 5 "$limit" bash -l /run/vm-agent.command </dev/null >&3 2>&1 3>&-
    printf '\n%s %s\n' "$token" "$?" >&3
done
AGENT
chmod 755 root/usr/local/sbin/vm-agent
printf 'virtio_console\noverlay\nveth\nbridge\ntun\nfuse\n' >root/etc/modules-load.d/vm.conf
mkdir -p root/etc/systemd/journald.conf.d
printf '[Journal]\nStorage=volatile\nForwardToConsole=no\n' >root/etc/systemd/journald.conf.d/vm.conf
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
    fstrim.timer systemd-timesyncd.service systemd-pstore.service getty@tty1.service dnsmasq.service \
    systemd-machine-id-commit.service systemd-journal-catalog-update.service systemd-update-done.service \
    ldconfig.service nftables.service serial-getty@ttyS0.service systemd-firstboot.service systemd-random-seed.service; do
    ln -sf /dev/null "root/etc/systemd/system/$unit"
done
chroot root systemctl enable vm-agent.service console-getty.service

say "the disk"
mkfs.ext4 -q -F -L lxcvm -m 0 -E lazy_itable_init=1 -O ^metadata_csum -d root disk.img 4G

if ! command -v qemu-system-x86_64; then
    say "the emulator"
    fetch qemu-system-x86
    mkdir qemu
    for deb in debs/*.deb; do
        case $deb in debs/linux-image*) ;; *) dpkg-deb -x "$deb" qemu ;; esac
    done
fi
rm -rf debs kernel initrd.d root
chmod 755 "$part"
chmod 644 vmlinuz initrd disk.img
mv "$part" "$dir"
say "done: $dir"
