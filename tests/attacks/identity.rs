//! Who a process in a container is: capabilities that came along, and numbers of users that mean somebody else.

use testkit::{Guest, Run, cases};

/// Runs a tool with inheritable and ambient capabilities, as a careless service manager does.
fn with_inheritable(run: Run) -> Run {
    let command = run.into_command();
    let caps = ["--inh-caps", "+net_raw,+chown,+sys_admin", "--ambient-caps", "+net_raw,+chown", "--"];
    Run::new("setpriv").args(caps).arg(command.get_program()).args(command.get_args())
}

const NONE: &str = "CapInh:\t0000000000000000\nCapAmb:\t0000000000000000\n";

/// Texts that some parser of numbers takes for a number, and which user it would be.
const ODD_NUMBERS: [&str; 14] = [
    "0x0",
    "+0",
    " 0",
    "0 ",
    "-1",
    "-0",
    "4294967295",
    "4294967296",
    "18446744073709551616",
    "0\n",
    "",
    "1e3",
    "0o0",
    "01x",
];

cases! {
    fn cve_2022_29162_no_inheritable_capability_in_an_attached_command() {
        let guest = Guest::build("inh").start();
        let run = guest.tool("lxc-attach").args(["--", "/bin/grep", "-E", "CapInh|CapAmb", "/proc/self/status"]);
        with_inheritable(run).done().exits(0).prints(NONE).ok();
        guest.kill();
    }

    fn cve_2022_29162_nor_in_an_executed_one() {
        let guest = Guest::build("inh").make();
        let run = guest.tool("lxc-execute").args(["--", "/bin/grep", "-E", "CapInh|CapAmb", "/proc/self/status"]);
        with_inheritable(run).done().exits(0).prints(NONE).ok();
    }

    fn cve_2022_29162_nor_in_init() {
        let guest = Guest::build("inh").make();
        with_inheritable(guest.tool("lxc-start").arg("-d")).done().exits(0).ok();
        assert_eq!(guest.sh("grep -E 'CapInh|CapAmb' /proc/1/status"), NONE);
        guest.kill();
    }

    fn cve_2026_30892_attach_takes_no_odd_number_for_a_user() {
        let guest = Guest::build("oddid").start();
        for option in ["-u", "-g"] {
            for number in ODD_NUMBERS {
                let done = guest.tool("lxc-attach").arg(option).arg(number).args(["--", "/bin/id"]).done();
                assert!(done.code != 0 && !done.stdout.contains("uid="), "{option} {number:?}: {done}");
            }
        }
        guest.tool("lxc-attach").args(["-u", "1000", "-g", "1000", "--", "/bin/id", "-u"]).done().exits(0).prints("1000\n").ok();
        guest.kill();
    }

    fn cve_2026_30892_execute_takes_no_odd_number_for_a_user() {
        let guest = Guest::build("oddid").make();
        for option in ["-u", "-g"] {
            for number in ODD_NUMBERS {
                let done = guest.tool("lxc-execute").arg(option).arg(number).args(["--", "/bin/id"]).done();
                assert!(done.code != 0 && !done.stdout.contains("uid="), "{option} {number:?}: {done}");
            }
        }
    }

    fn cve_2026_30892_the_configuration_takes_no_odd_number_for_a_user() {
        for key in ["lxc.init.uid", "lxc.init.gid"] {
            // Blanks around a value and an empty one mean something else in a file.
            for number in ODD_NUMBERS.iter().filter(|number| number.trim() == **number && !number.is_empty()) {
                let guest = Guest::build("oddid").conf(&format!("{key} = {number}")).make();
                let done = guest.tool("lxc-execute").args(["--", "/bin/id"]).done();
                assert!(done.code != 0 && !done.stdout.contains("uid="), "{key} = {number:?}: {done}");
            }
        }
    }

    fn cve_2026_30892_an_id_map_takes_no_odd_number() {
        for number in ODD_NUMBERS.iter().filter(|number| number.trim() == **number && !number.is_empty()) {
            for map in [format!("u {number} 100000 65536"), format!("u 0 {number} 65536"), format!("u 0 100000 {number}")] {
                let guest = Guest::build("oddid").conf(&format!("lxc.idmap = {map}\nlxc.idmap = g 0 100000 65536")).make();
                let done = guest.tool("lxc-execute").args(["--", "/bin/id"]).done();
                assert!(done.code != 0 && !done.stdout.contains("uid="), "{map:?}: {done}");
            }
        }
    }
}
