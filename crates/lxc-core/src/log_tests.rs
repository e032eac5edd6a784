//! Line shapes, levels, and what is not formatted.

use std::time::Duration;

use super::*;

fn line<'a>(level: Level, message: &'a str) -> Line<'a> {
    Line { level, category: "start", file: "lxc-core/src/start/mod.rs", function: "start", line: 12, message }
}

fn setup<'a>(file: &'a str, level: &'a str) -> LogSetup<'a> {
    LogSetup {
        program: "lxc-start",
        name: Some("c1"),
        file: Some(file),
        level: Some(level),
        quiet: true,
        lxcpath: None,
    }
}

struct TempFile(PathBuf);

impl TempFile {
    fn new(label: &str) -> TempFile {
        TempFile(std::env::temp_dir().join(format!("cmd-log-{label}-{}", std::process::id())))
    }
    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
    fn lines(&self) -> Vec<String> {
        std::fs::read_to_string(&self.0).unwrap().lines().map(str::to_owned).collect()
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Runs `body` with a logger of its own, on this thread.
fn logged(setup: &LogSetup<'_>, body: impl FnOnce(&Arc<Sink>)) {
    let sink = Arc::new(Sink::new(setup));
    sink.open_initial(setup).unwrap();
    let logger = Logger { sink: Arc::clone(&sink) };
    tracing::subscriber::with_default(logger, || body(&sink));
}

#[test]
fn lines_have_the_shape_of_the_original() {
    // Observed: lxc-start nosuch 20261128161815.904 ERROR    lxc_start - FILE:main:266 - No container config specified
    let at = UNIX_EPOCH + Duration::from_millis(1_795_882_695_904);
    let error = line(Level::Error, "No container config specified");
    assert_eq!(
        error.for_file("lxc-start", Some("nosuch"), at),
        "lxc-start nosuch 20261128161815.904 ERROR    start - lxc-core/src/start/mod.rs:start:12 - \
         No container config specified\n"
    );
    assert_eq!(
        error.for_file("lxc-ls", None, at),
        "lxc-ls 20261128161815.904 ERROR    start - lxc-core/src/start/mod.rs:start:12 - \
         No container config specified\n"
    );
    assert_eq!(
        error.for_stderr("lxc-start", Some("nosuch")),
        "lxc-start: nosuch: lxc-core/src/start/mod.rs: start: 12 No container config specified\n"
    );
    assert_eq!(
        error.for_stderr("lxc-start", None),
        "lxc-start: lxc-core/src/start/mod.rs: start: 12 No container config specified\n"
    );
}

#[test]
fn dates_are_right_at_the_edges() {
    let date = |seconds| Timestamp(UNIX_EPOCH + Duration::from_secs(seconds)).to_string();
    assert_eq!(date(0), "19700101000000.000");
    assert_eq!(date(951_782_400), "20000229000000.000");
    assert_eq!(date(951_868_800), "20000301000000.000");
    assert_eq!(date(4_107_542_399), "21000228235959.000");
    assert_eq!(date(4_107_542_400), "21000301000000.000");
    assert_eq!(date(1_735_689_599), "20241231235959.000");
}

#[test]
fn a_message_cannot_forge_a_second_line() {
    let forged = line(Level::Error, "a\nlxc-start c1 20260101000000.000 FATAL \x1b[2J");
    let text = forged.for_file("p", Some("x\ny"), UNIX_EPOCH);
    assert_eq!(text.matches('\n').count(), 1);
    assert!(text.ends_with('\n') && !text.contains('\x1b'), "{text:?}");
}

#[test]
fn levels_filter_the_file_and_fields_refine_them() {
    let file = TempFile::new("levels");
    logged(&setup(file.path(), "notice"), |sink| {
        tracing::debug!("no");
        tracing::info!("no");
        tracing::info!(level = "NOTICE", "yes notice");
        tracing::warn!("yes warn");
        tracing::error!(level = "FATAL", code = 7, "yes fatal");
        tracing::error!(target: "netlink_proto", "no");
        sink.set_level(Level::Crit);
        tracing::error!("no");
        sink.set_level(Level::Trace);
        tracing::trace!("yes trace");
    });
    let lines = file.lines();
    let wanted = [
        ("NOTICE   log - ", "yes notice"),
        ("WARN     log - ", "yes warn"),
        ("FATAL    log - ", "yes fatal code=7"),
        ("TRACE    log - ", "yes trace"),
    ];
    assert_eq!(lines.len(), wanted.len(), "{lines:#?}");
    for (line, (level, message)) in lines.iter().zip(wanted) {
        assert!(
            line.starts_with("lxc-start c1 2") && line.contains(level) && line.ends_with(message),
            "{line}"
        );
        assert!(line.contains(" - lxc-core/src/log_tests.rs:tests:"), "{line}");
    }
}

#[test]
fn the_name_of_a_container_is_a_thread_s_own_and_nests() {
    let file = TempFile::new("names");
    logged(&setup(file.path(), "INFO"), |_| {
        let outer = container("outer");
        tracing::info!("1");
        {
            let _inner = container("inner");
            tracing::info!("2");
        }
        tracing::info!("3");
        drop(outer);
        tracing::info!("4");
    });
    let names: Vec<String> =
        file.lines().iter().map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(names, ["outer", "inner", "outer", "c1"]);
}

#[test]
fn what_is_not_wanted_is_not_formatted() {
    struct Bomb;
    impl fmt::Display for Bomb {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("formatted");
        }
    }
    logged(&setup("none", "ERROR"), |_| {
        tracing::trace!("{Bomb}");
        tracing::warn!("{Bomb}");
    });
}

#[test]
fn default_files_never_make_a_directory_for_an_unknown_container() {
    let dir = std::env::temp_dir().join(format!("cmd-log-path-{}", std::process::id()));
    std::fs::create_dir_all(dir.join("c1")).unwrap();
    let lxcpath = Some(dir.as_path());
    for (name, made) in [("nosuch", false), ("c1", true)] {
        let setup =
            LogSetup { program: "p", name: Some(name), lxcpath, level: Some("DEBUG"), ..LogSetup::default() };
        let files = default_files(&setup);
        assert_eq!(files.first(), Some(&dir.join(name).join(format!("{name}.log"))));
        assert_eq!(open_beside_container(&files[0], lxcpath).is_some(), made);
        assert_eq!(dir.join(name).exists(), made);
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn words_for_levels() {
    assert_eq!(Level::parse("fatal"), Some(Level::Fatal));
    assert_eq!(Level::parse("bogus"), None);
    assert_eq!(Level::from_number(3), Some(Level::Notice));
    assert_eq!(Level::from_number(9), None);
}
