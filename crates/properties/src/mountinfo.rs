//! Lines of /proc/PID/mountinfo: one mount a line at most, and names with blanks survive being escaped.

use lxc_core::inject::parse_mountinfo;

use crate::text;

fn escape(name: &str) -> String {
    name.replace('\\', "\\134").replace(' ', "\\040").replace('\t', "\\011").replace('\n', "\\012")
}

pub fn check(input: &[u8]) {
    let Some(text) = text(input) else { return };
    let mounts = parse_mountinfo(text);
    assert!(mounts.len() <= text.lines().count());
    for mount in &mounts {
        let line = format!(
            "{} {} {} {} {} rw,relatime - {} {} rw\n",
            mount.id,
            mount.parent,
            mount.device,
            escape(&mount.root),
            escape(&mount.mount_point),
            escape(&mount.fstype),
            escape(&mount.source),
        );
        assert_eq!(parse_mountinfo(&line), std::slice::from_ref(mount), "{line:?}");
    }
}
