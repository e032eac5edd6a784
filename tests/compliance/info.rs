//! lxc-info: the lines, their order and their bytes.

use testkit::{Guest, cases};

cases! {
    fn a_stopped_one_has_name_and_state() {
        let guest = Guest::build("info").make();
        let text = format!("Name:           {}\nState:          STOPPED\n", guest.name());
        guest.tool("lxc-info").done().exits(0).prints(&text).silent().ok();
        for option in ["-p", "-i", "-S"] {
            guest.tool("lxc-info").arg(option).done().exits(0).prints("").silent().ok();
        }
    }

    fn a_running_one_has_its_lines_in_order() {
        let guest = Guest::build("info").start();
        let text = guest.tool("lxc-info").done().exits(0).silent().ok();
        let labels: Vec<_> = text.lines().map(|line| line.split(':').next().unwrap()).collect();
        let expected: Vec<_> = ["Name", "State", "PID", "CPU use", "BlkIO use", "Memory use", "KMem use"]
            .into_iter()
            .filter(|label| *label != "KMem use" || labels.contains(&"KMem use"))
            .filter(|label| *label != "BlkIO use" || labels.contains(&"BlkIO use"))
            .collect();
        assert_eq!(labels, expected, "{text}");
        for line in text.lines() {
            let (label, value) = line.split_at(16);
            assert!(label.ends_with(' ') && !value.starts_with(' '), "{line:?}");
        }
    }

    fn single_selectors_without_decoration() {
        let guest = Guest::build("info").start();
        guest.tool("lxc-info").args(["-s"]).done().exits(0).prints("State:          RUNNING\n").ok();
        guest.tool("lxc-info").args(["-sH"]).done().exits(0).prints("RUNNING\n").ok();
        let pid = guest.tool("lxc-info").args(["-pH"]).done().ok();
        guest.tool("lxc-info").args(["-p"]).done().exits(0).prints(&format!("PID:            {pid}")).ok();
        let both = format!("State:          RUNNING\nPID:            {pid}");
        guest.tool("lxc-info").args(["-spH"]).done().exits(0).prints(&both).ok();
        guest.tool("lxc-info").args(["-iH"]).done().exits(0).prints("").ok();
    }

    fn statistics_raw_and_humanised() {
        let guest = Guest::build("info").start();
        let raw = guest.tool("lxc-info").args(["-SH"]).done().ok();
        let cpu = raw.lines().next().unwrap();
        assert!(cpu.starts_with("CPU use:        "), "{raw}");
        let memory = raw.lines().find_map(|line| line.strip_prefix("Memory use:     ")).unwrap();
        assert!(memory.parse::<u64>().unwrap() > 0);
        let human = guest.tool("lxc-info").args(["-S"]).done().ok();
        let memory = human.lines().find_map(|line| line.strip_prefix("Memory use:     ")).unwrap();
        let (number, unit) = memory.split_once(' ').unwrap();
        assert!(["bytes", "KiB", "MiB", "GiB"].contains(&unit), "{memory}");
        if unit != "bytes" {
            assert_eq!(number.split_once('.').unwrap().1.len(), 2, "{memory}");
        }
        assert!(human.lines().next().unwrap().ends_with(" seconds"), "{human}");
        assert!(cpu[16..].parse::<u64>().unwrap() > 0, "{raw}");
    }

    fn configuration_items() {
        let guest = Guest::build("info").conf("lxc.environment = A=1\nlxc.environment = B=2").make();
        let of = |args: &[&str]| guest.tool("lxc-info").args(args).done().exits(0);
        let name = guest.name();
        of(&["-c", "lxc.uts.name"]).prints(&format!("lxc.uts.name = {name}\n")).ok();
        of(&["-H", "-c", "lxc.uts.name"]).prints(&format!("{name}\n")).ok();
        of(&["-c", "lxc.environment"]).prints("lxc.environment = A=1\nB=2\n\n").ok();
        of(&["-c", "lxc.init.cmd"]).prints("lxc.init.cmd =\n").ok();
        of(&["-c", "lxc.no.such"]).prints("").says("lxc.no.such invalid").ok();
        of(&["-H", "-c", "lxc.tty.max", "-c", "lxc.pty.max"]).prints("lxc.tty.max = 0\nlxc.pty.max = 16\n").ok();
    }

    fn frozen_is_a_state() {
        let guest = Guest::build("info").start();
        guest.tool("lxc-freeze").done().exits(0).ok();
        guest.tool("lxc-info").arg("-sH").done().exits(0).prints("FROZEN\n").ok();
    }

    fn links_have_a_block_each() {
        let netns = testkit::netns::Netns::new();
        netns.bridge("br0", "10.99.1.1/24");
        let net = "lxc.net.0.type = veth\nlxc.net.0.link = br0\nlxc.net.0.flags = up\n\
                   lxc.net.0.ipv4.address = 10.99.1.7/24\nlxc.net.0.veth.pair = vinfo0";
        let guest = Guest::build("info").conf(net).under(netns.prefix()).start();
        guest.tool("lxc-info").arg("-iH").done().exits(0).prints("10.99.1.7\n").ok();
        let text = guest.tool("lxc-info").done().ok();
        assert!(text.contains("\nIP:             10.99.1.7\n"), "{text}");
        let block = &text[text.find("Link:").unwrap()..];
        let labels: Vec<_> = block.lines().map(|line| &line[..16]).collect();
        assert_eq!(labels, ["Link:           ", " TX bytes:      ", " RX bytes:      ", " Total bytes:   "], "{text}");
        assert!(block.starts_with("Link:           vinfo0\n"), "{text}");
    }
}
