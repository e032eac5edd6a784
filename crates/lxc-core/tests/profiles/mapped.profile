# Made by LXC when the container starts; changes are overwritten (see lxc.apparmor.raw).
profile "lxc-c1_</var/lib/lxc>" flags=(attach_disconnected,mediate_deleted) {

  # What the kernel decides by itself: ids, capabilities, namespaces.
  file,
  capability,
  network,
  unix,
  dbus,
  umount,

  # Signals and tracing stay among the container's own processes; the machine may reach in.
  signal (receive),
  ptrace (readby, tracedby),
  signal (send) peer="lxc-c1_</var/lib/lxc>",
  ptrace (read, trace) peer="lxc-c1_</var/lib/lxc>",
  signal (send) peer="lxc-c1_</var/lib/lxc>//*",
  ptrace (read, trace) peer="lxc-c1_</var/lib/lxc>//*",
  signal (send) peer=":lxc-c1_<-var-lib-lxc>{,//**}:**",
  ptrace (read, trace) peer=":lxc-c1_<-var-lib-lxc>{,//**}:**",

  # Root is an ordinary user outside: the kernel limits what it mounts and writes.
  mount,
  remount,
  pivot_root,
}
