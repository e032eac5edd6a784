//! Tests of `cgroup::plan`.

use std::path::PathBuf;

use super::*;

fn hierarchy(version: Version, controllers: &[&str], writable: bool) -> Hierarchy {
    let name = if version == Version::V2 { "unified".to_owned() } else { controllers.join(",") };
    Hierarchy {
        version,
        controllers: controllers.iter().map(|c| (*c).to_owned()).collect(),
        mountpoint: PathBuf::from("/sys/fs/cgroup").join(name),
        mount_root: "/".into(),
        base_cgroup: "/".into(),
        writable,
    }
}

fn layout(kind: LayoutKind) -> Layout {
    let v1 = [&["memory"][..], &["cpu", "cpuacct"], &["devices"], &["pids"]]
        .map(|c| hierarchy(Version::V1, c, true));
    let mut hierarchies = Vec::new();
    if kind != LayoutKind::Unified {
        hierarchies.extend(v1);
    }
    match kind {
        LayoutKind::Hybrid => hierarchies.push(hierarchy(Version::V2, &["hugetlb"], true)),
        LayoutKind::Unified => {
            hierarchies.push(hierarchy(Version::V2, &["cpu", "memory", "pids", "io"], true));
        }
        LayoutKind::Legacy => {}
    }
    Layout { kind, hierarchies, skipped: Vec::new() }
}

fn line(number: u32) -> Origin {
    Origin { file: Some("/c/config".into()), line: number }
}

fn set(file: &str, value: &str, number: u32) -> CgroupSetting {
    CgroupSetting { file: file.into(), value: value.into(), origin: line(number) }
}

fn make(settings: &Settings, layout: &Layout) -> Result<CgroupPlan> {
    plan(settings, "c1", &CgroupGlobals::default(), layout, 0)
}

#[test]
fn default_names() {
    let plan = make(&Settings::default(), &layout(LayoutKind::Hybrid)).expect("plan");
    assert_eq!(plan.monitor.candidate(0), "lxc.monitor.c1");
    assert_eq!(plan.payload.candidate(1), "lxc.payload.c1-1");
    assert_eq!(plan.payload.candidate(plan.payload.candidates() - 1), "lxc.payload.c1-999");
    assert_eq!(plan.pivot, "lxc.pivot");
}

#[test]
fn the_global_pattern_and_a_dir_of_its_own() {
    let globals = CgroupGlobals { pattern: Some("lxc/%n".into()), required: None };
    let mut settings = Settings::default();
    let plan_of =
        |settings: &Settings| plan(settings, "c1", &globals, &layout(LayoutKind::Unified), 0).expect("plan");
    assert_eq!(plan_of(&settings).monitor.path, "lxc/c1/monitor");
    assert_eq!(plan_of(&settings).payload.path, "lxc/c1/payload");
    settings.cgroup.dir = Some("own//dir/".into());
    let plan = plan_of(&settings);
    assert_eq!(plan.payload.path, "own/dir/lxc.payload.c1");
    assert_eq!(plan.pivot, "own/dir/lxc.pivot");
}

#[test]
fn explicit_names_are_taken_exactly() {
    let mut settings = Settings::default();
    settings.cgroup.monitor = Some("lxc.monitor/100".into());
    settings.cgroup.container = Some("lxc/100".into());
    settings.cgroup.container_inner = Some("ns".into());
    settings.cgroup.monitor_pivot = Some("p".into());
    let plan = make(&settings, &layout(LayoutKind::Unified)).expect("plan");
    assert_eq!((plan.monitor.candidates(), plan.payload.candidates()), (1, 1));
    assert_eq!(plan.inner.as_deref(), Some("ns"));
    assert_eq!(plan.pivot, "p");
}

#[test]
fn contradicting_dirs_are_refused_with_the_line() {
    let mut settings = Settings::default();
    settings.cgroup.dir = Some("d".into());
    settings.cgroup.container = Some("c".into());
    settings.cgroup.monitor = Some("m".into());
    settings.origins.insert("lxc.cgroup.dir".into(), line(7));
    let error = make(&settings, &layout(LayoutKind::Unified)).expect_err("both");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(error.origin(), Some(&line(7)));

    for (monitor, container, inner) in
        [(Some("m"), None, None), (None, Some("c"), None), (None, None, Some("i"))]
    {
        let mut settings = Settings::default();
        settings.cgroup.monitor = monitor.map(str::to_owned);
        settings.cgroup.container = container.map(str::to_owned);
        settings.cgroup.container_inner = inner.map(str::to_owned);
        assert!(
            make(&settings, &layout(LayoutKind::Unified)).is_err(),
            "{monitor:?} {container:?} {inner:?}"
        );
    }
}

#[test]
fn paths_cannot_climb() {
    for bad in ["/abs", "a/../../b", "..", "", "./"] {
        let mut settings = Settings::default();
        settings.cgroup.dir = Some(bad.into());
        assert!(make(&settings, &layout(LayoutKind::Unified)).is_err(), "{bad}");
    }
    let mut settings = Settings::default();
    settings.cgroup.monitor = Some("same".into());
    settings.cgroup.container = Some("same/".into());
    assert!(make(&settings, &layout(LayoutKind::Unified)).is_err());
}

#[test]
fn v1_keys_go_to_their_hierarchy_in_order() {
    let settings = Settings {
        cgroup1: vec![
            set("memory.limit_in_bytes", "1G", 1),
            set("cpu.shares", "5", 2),
            set("memory.limit_in_bytes", "2G", 3),
        ],
        ..Settings::default()
    };
    let plan = make(&settings, &layout(LayoutKind::Hybrid)).expect("plan");
    let got: Vec<(usize, &str)> = plan.writes.iter().map(|w| (w.hierarchy, w.value.as_str())).collect();
    assert_eq!(got, [(0, "1G"), (1, "5"), (0, "2G")]);
    assert_eq!(plan.notices, [""; 0]);
}

#[test]
fn an_unknown_controller_is_refused_where_v1_rules() {
    let settings = Settings { cgroup1: vec![set("nosuch.foo", "1", 4)], ..Settings::default() };
    for kind in [LayoutKind::Legacy, LayoutKind::Hybrid] {
        let error = make(&settings, &layout(kind)).expect_err("unknown controller");
        assert_eq!(error.origin(), Some(&line(4)));
        assert!(error.to_string().contains("nosuch"), "{error}");
    }
}

#[test]
fn v1_keys_on_a_v2_host_are_translated_with_a_notice() {
    let settings = Settings {
        cgroup1: vec![
            set("memory.limit_in_bytes", "512M", 1),
            set("memory.swappiness", "1", 2),
            set("pids.max", "9", 3),
        ],
        cgroup2: vec![set("pids.max", "10", 5)],
        ..Settings::default()
    };
    let plan = make(&settings, &layout(LayoutKind::Unified)).expect("plan");
    let got: Vec<(&str, &str)> = plan.writes.iter().map(|w| (w.file.as_str(), w.value.as_str())).collect();
    assert_eq!(got, [("memory.max", "512M"), ("pids.max", "10")]);
    assert_eq!(plan.notices.len(), 3, "{:?}", plan.notices);
    assert!(
        plan.notices[0].starts_with("/c/config:1: lxc.cgroup.memory.limit_in_bytes"),
        "{}",
        plan.notices[0]
    );
}

#[test]
fn a_translated_key_needs_the_controller_but_does_not_insist() {
    let settings = Settings {
        cgroup1: vec![set("memory.limit_in_bytes", "1G", 1), set("pids.max", "9", 2)],
        ..Settings::default()
    };
    let mut layout = layout(LayoutKind::Unified);
    layout.hierarchies[0].controllers.retain(|controller| controller != "memory");
    let plan = make(&settings, &layout).expect("plan");
    assert_eq!(plan.writes.len(), 1);
    assert!(plan.writes[0].translated && plan.writes[0].file == "pids.max");
    assert!(plan.notices[0].contains("memory controller is not available"), "{}", plan.notices[0]);
}

#[test]
fn v2_keys_need_the_unified_hierarchy_to_have_the_controller() {
    let settings = Settings {
        cgroup2: vec![set("memory.max", "1G", 1), set("hugetlb.2MB.max", "0", 2)],
        ..Settings::default()
    };
    let of = |kind| {
        let plan = make(&settings, &layout(kind)).expect("plan");
        (plan.writes.iter().map(|w| w.file.clone()).collect::<Vec<_>>(), plan.notices.len())
    };
    assert_eq!(of(LayoutKind::Legacy), (vec![], 2));
    assert_eq!(of(LayoutKind::Hybrid), (vec!["hugetlb.2MB.max".to_owned()], 1));
    assert_eq!(of(LayoutKind::Unified), (vec!["memory.max".to_owned(), "hugetlb.2MB.max".to_owned()], 0));
}

#[test]
fn device_rules_find_the_mechanism_of_the_host() {
    let v1 = vec![set("devices.deny", "a", 1), set("devices.allow", "c 1:3 rwm", 2)];
    let v2 = vec![set("devices.allow", "c 1:5 r", 3)];
    let both = Settings { cgroup1: v1.clone(), cgroup2: v2.clone(), ..Settings::default() };
    let only1 = Settings { cgroup1: v1, ..Settings::default() };
    let only2 = Settings { cgroup2: v2, ..Settings::default() };
    let of = |settings: &Settings, kind| make(settings, &layout(kind)).expect("plan").devices;

    assert!(
        matches!(of(&both, LayoutKind::Hybrid), DeviceSetup::Files { hierarchy: 2, rules } if rules.len() == 2)
    );
    assert!(
        matches!(of(&both, LayoutKind::Unified), DeviceSetup::Program { start: ListDefault::Deny, rules } if rules.len() == 1)
    );
    assert!(
        matches!(of(&only1, LayoutKind::Unified), DeviceSetup::Program { start: ListDefault::Allow, rules } if rules.len() == 2)
    );
    // A list without `a` is an allowlist on v2, so the v1 controller must be told.
    match of(&only2, LayoutKind::Legacy) {
        DeviceSetup::Files { rules, .. } => {
            assert_eq!(rules[0].rule, DeviceRule::deny_all());
            assert_eq!(rules.len(), 2);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(of(&Settings::default(), LayoutKind::Hybrid), DeviceSetup::Open);
}

#[test]
fn a_bad_device_rule_names_its_line() {
    let settings = Settings { cgroup2: vec![set("devices.allow", "c 1:3 rwx", 12)], ..Settings::default() };
    let error = make(&settings, &layout(LayoutKind::Unified)).expect_err("bad mode");
    assert_eq!(error.origin(), Some(&line(12)));
    assert_eq!(error.to_string(), "lxc.cgroup2.devices.allow = c 1:3 rwx: `rwx` is not made of r, w and m");
}

#[test]
fn what_may_not_be_written_is_left_alone_unless_nothing_remains() {
    let mut layout = layout(LayoutKind::Hybrid);
    for hierarchy in layout.hierarchies.iter_mut().take(3) {
        hierarchy.writable = false;
    }
    let of = |layout: &Layout, required: Option<&str>| {
        let globals = CgroupGlobals { pattern: None, required: required.map(str::to_owned) };
        plan(&Settings::default(), "c1", &globals, layout, 1000)
    };
    let some = of(&layout, None).expect("pids and unified remain");
    assert_eq!(some.hierarchies.len(), 2);
    assert!(some.notices[0].contains("memory cpu,cpuacct devices"), "{}", some.notices[0]);
    assert!(of(&layout, Some("pids")).is_ok());
    assert!(of(&layout, Some("pids, memory")).expect_err("required").to_string().contains("memory"));
    assert_eq!(of(&layout, Some("@all")).expect_err("all required").kind(), ErrorKind::Permission);

    for hierarchy in &mut layout.hierarchies {
        hierarchy.writable = false;
    }
    let error = of(&layout, None).expect_err("nothing remains");
    assert_eq!(error.kind(), ErrorKind::Permission);
    assert_eq!(error.to_string(), "cgroup /sys/fs/cgroup/unified is not writable by uid 1000");
    assert!(
        error.cure_text().is_some_and(|cure| cure.contains("systemd-run --user --scope -p Delegate=yes"))
    );
}

#[test]
fn the_golden_lines() {
    let settings = Settings {
        cgroup1: vec![set("memory.limit_in_bytes", "1G", 1), set("devices.deny", "a", 2)],
        cgroup2: vec![set("memory.max", "1G", 3)],
        ..Settings::default()
    };
    let mut layout = layout(LayoutKind::Hybrid);
    layout.hierarchies.retain(|h| h.has("memory") || h.has("devices") || h.version == Version::V2);
    let plan = make(&settings, &layout).expect("plan");
    assert_eq!(
        plan.to_string(),
        "\
cgroup layout hybrid
cgroup hierarchy memory at /sys/fs/cgroup/memory
cgroup hierarchy devices at /sys/fs/cgroup/devices
cgroup hierarchy unified at /sys/fs/cgroup/unified
cgroup monitor lxc.monitor.c1 (or -1 … -999)
cgroup payload lxc.payload.c1 (or -1 … -999)
cgroup write memory memory.limit_in_bytes = 1G [/c/config:1]
cgroup device devices deny a [/c/config:2]
cgroup notice /c/config:3: lxc.cgroup2.memory.max is ignored: the memory controller is not on the unified hierarchy of this hybrid host
cgroup pivot lxc.pivot
"
    );
}

#[test]
fn a_rule_for_all_devices_does_not_go_with_an_inner_cgroup_on_v1() {
    let mut settings = Settings::default();
    settings.cgroup.monitor = Some("m".into());
    settings.cgroup.container = Some("p".into());
    settings.cgroup.container_inner = Some("ns".into());
    settings.cgroup1 = vec![set("devices.deny", "a", 3)];
    let error = make(&settings, &layout(LayoutKind::Hybrid)).expect_err("v1");
    assert_eq!(error.origin().map(|origin| origin.line), Some(3));
    assert!(make(&settings, &layout(LayoutKind::Unified)).is_ok());
    settings.cgroup1 = vec![set("devices.deny", "c *:* rwm", 3)];
    assert!(make(&settings, &layout(LayoutKind::Hybrid)).is_ok());
}
