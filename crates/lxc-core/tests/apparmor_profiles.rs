//! Generated AppArmor profiles against golden files, and against the compiler.
//!
//! `LXC_PLAN_BLESS=1` writes the files anew.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lxc_core::lsm::apparmor::profile::{Profile, Root, text as generate};

const NAME: &str = "lxc-c1_</var/lib/lxc>";
const NAMESPACE: Option<&str> = Some("lxc-c1_<-var-lib-lxc>");

fn cases() -> Vec<(&'static str, Profile<'static>)> {
    let plain = Profile {
        name: NAME,
        namespace: NAMESPACE,
        root: Root::Machine,
        nesting: false,
        cgroup_namespace: true,
        raw: &[],
    };
    vec![
        ("privileged", plain),
        ("privileged-nesting", Profile { nesting: true, ..plain }),
        ("privileged-old-kernel", Profile { namespace: None, cgroup_namespace: false, ..plain }),
        ("mapped", Profile { root: Root::Mapped, ..plain }),
        ("mapped-nesting", Profile { root: Root::Mapped, nesting: true, ..plain }),
    ]
}

fn golden_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/profiles")
}

/// Compiles a file of the package; its includes are ours, but for the tunables.
fn compile_shipped(name: &str) -> Result<(), String> {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/apparmor");
    let output = Command::new("/usr/sbin/apparmor_parser")
        .args(["-Q", "-K", "-T", "-M", FEATURES, "-I"])
        .arg(&ours)
        .args(["-I", "/etc/apparmor.d", "-b"])
        .arg(&ours)
        .arg(ours.join(name))
        .output()
        .map_err(|error| format!("apparmor_parser: {error}; install the package apparmor"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() && said.is_empty() { Ok(()) } else { Err(said) }
}

const FEATURES: &str = "/usr/share/apparmor-features/features";

/// Compiles without loading, for a kernel with everything (the features Debian's package ships); output on failure.
fn compile(text: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("apparmor_parser: {error}; install the package apparmor");
    let mut child = Command::new("/usr/sbin/apparmor_parser")
        .args(["-Q", "-K", "-T", "-M", FEATURES])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(text.as_bytes()).map_err(failed)?;
    }
    let output = child.wait_with_output().map_err(failed)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() && said.is_empty() { Ok(()) } else { Err(said) }
}

#[test]
fn profiles_are_as_blessed() {
    for (name, profile) in cases() {
        let path = golden_dir().join(format!("{name}.profile"));
        let made = generate(&profile).text;
        if std::env::var_os("LXC_PLAN_BLESS").is_some() {
            std::fs::create_dir_all(path.parent().expect("parent")).expect("mkdir");
            std::fs::write(&path, &made).expect("write");
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(made == golden, "{}: differs; LXC_PLAN_BLESS=1 to accept\n{made}", path.display());
    }
}

#[test]
fn profiles_compile_without_a_warning() {
    for (name, profile) in cases() {
        compile(&generate(&profile).text).unwrap_or_else(|said| panic!("{name}: {said}"));
    }
}

#[test]
fn raw_lines_are_part_of_the_profile_and_their_place_is_known() {
    let raw = ["deny /etc/shadow r,".to_owned(), "mount fstype=ext4,".to_owned()];
    let text = generate(&Profile { raw: &raw, ..cases()[0].1 });
    compile(&text.text).expect("compiles");
    assert_eq!(text.text.lines().nth(text.raw_starts - 1), Some("  deny /etc/shadow r,"));
    assert_eq!(text.text.lines().nth(text.raw_starts), Some("  mount fstype=ext4,"));
    let wrong = ["nonsense".to_owned()];
    let text = generate(&Profile { raw: &wrong, ..cases()[0].1 });
    let said = compile(&text.text).expect_err("a syntax error");
    // The compiler names the line at which it gave up: the one after an unfinished rule.
    assert!(said.contains(&format!("line {}", text.raw_starts + 1)), "{} in: {said}", text.raw_starts);
}

#[test]
fn nothing_outside_of_the_text_is_referred_to() {
    for (name, profile) in cases() {
        let text = generate(&profile).text;
        assert!(!text.contains("include") && !text.contains("abi ") && !text.contains('@'), "{name}");
    }
}

#[test]
fn the_package_s_profiles_compile_without_a_warning() {
    for name in ["lxc-containers", "usr.bin.lxc-start"] {
        compile_shipped(name).unwrap_or_else(|said| panic!("{name}: {said}"));
    }
}

/// The rules of a container that names no profile and those of a generated one are the same ones.
#[test]
fn the_package_s_default_denies_what_a_generated_profile_denies() {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/apparmor");
    let read = |name: &str| std::fs::read_to_string(config.join(name)).expect("read");
    let shipped = read("abstractions/lxc/container-base") + &read("lxc/lxc-default-cgns");
    let shipped: Vec<&str> = shipped.lines().map(str::trim).collect();
    let generated = generate(&Profile { namespace: None, ..cases()[0].1 }).text;
    let missing: Vec<&str> = generated
        .lines()
        .map(str::trim)
        .filter(|rule| rule.starts_with("deny ") && !shipped.contains(rule))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
