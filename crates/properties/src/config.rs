//! Configuration text: errors have a place, a failed load changes nothing, saving is a fixed point.

use lxc_conf::keys::{Form, KEYS};
use lxc_conf::{ConfError, ConfErrorKind, Config, Memory, Settings};

/// Included by some inputs; what it includes itself is missing, or a loop.
fn world() -> Memory {
    let mut world = Memory::default();
    for (name, text) in [
        ("/i/ok", "lxc.group = included\nlxc.net.1.type = veth\n"),
        ("/i/bad", "lxc.tty.max = many\n"),
        ("/i/loop", "lxc.include = /i/loop\n"),
        ("/i/d/a.conf", "lxc.cap.drop = kill\n"),
        ("/i/d/b.conf", "lxc.include = /i/ok\n"),
    ] {
        world.files.insert(name.to_owned(), text.as_bytes().to_vec());
    }
    world.environment.insert("TERM".to_owned(), "linux".to_owned());
    world
}

/// The keys that can be read and their texts: of interfaces that exist, and of the sections `of` mentions. Reading all
/// keys takes ten times as long as loading; one input of sixteen pays for it.
pub(crate) fn reading(config: &Config, of: &[u8]) -> Vec<(String, String)> {
    let all = of.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)) % 16 == 0;
    let mentioned = |name: &str| {
        let section = name.split('.').nth(1).unwrap_or_default();
        all || of.windows(section.len().max(1)).any(|part| part == section.as_bytes())
    };
    let nics: Vec<u32> = config.settings().nics.keys().copied().collect();
    let mut names = Vec::new();
    for key in KEYS {
        match key.form {
            Form::Nic => names.extend(nics.iter().map(|nic| key.name.replacen('N', &nic.to_string(), 1))),
            _ if mentioned(key.name) => names.push(key.name.to_owned()),
            _ => {}
        }
    }
    names.into_iter().filter_map(|name| config.get(&name).ok().map(|text| (name, text))).collect()
}

/// What a load or a setting that failed must have left alone.
pub(crate) fn state(config: &Config) -> (Vec<u8>, Settings) {
    (config.to_bytes(), config.settings().clone())
}

/// An error says what and, in a file, where.
pub(crate) fn check_error(error: &ConfError, lines: usize) {
    let shown = error.to_string();
    assert!(!error.message().is_empty() && !shown.is_empty(), "{error:?}");
    let obeyed = |text: &str| text.contains(|c: char| c != '\t' && c.is_control());
    assert!(!obeyed(&shown), "nothing a terminal would obey: {shown:?}");
    assert!(!error.compat_texts().iter().any(|text| obeyed(text)), "{:?}", error.compat_texts());
    assert!(!error.excerpt().is_some_and(|text| obeyed(&text.replace('\n', ""))), "{:?}", error.excerpt());
    assert!(shown.len() < 4096 + 16 * error.text.len(), "an error as long as a novel: {}", shown.len());
    let _ = error.did_you_mean();
    if error.file.as_deref() == Some("t") {
        assert!((1..=lines).contains(&(error.line as usize)), "line {} of {lines}: {shown}", error.line);
        assert!(error.column as usize <= error.text.len() + 1, "column {}: {shown}", error.column);
        assert!(shown.starts_with(&format!("t:{}:", error.line)), "{shown}");
    }
}

pub fn check(input: &[u8]) {
    let world = world();
    let mut config = Config::new();
    let empty = state(&config);
    if let Err(errors) = config.load_bytes("t", input, &world) {
        assert!(!errors.is_empty());
        // CR, LF or both end a line.
        let lines = input.split(|byte| matches!(byte, b'\n' | b'\r')).count();
        // They are alike, and telling which key may have been meant takes its time.
        for error in errors.iter().take(4) {
            check_error(error, lines);
        }
        assert!(errors.iter().all(|error| error.kind != ConfErrorKind::LineBreak));
        assert_eq!(state(&config), empty, "a load that fails changes nothing");
        return;
    }
    let saved = config.to_bytes();
    let mut again = Config::new();
    if let Err(errors) = again.load_bytes("t", &saved, &world) {
        panic!("what was saved does not load: {errors:?}");
    }
    assert_eq!(again.to_bytes(), saved, "saving and loading is a fixed point");
    assert_eq!(reading(&again, input), reading(&config, input), "saving and loading is a fixed point");

    // A second load of something broken.
    let before = state(&again);
    assert!(again.load_bytes("t", b"lxc.uts.name = other\nlxc.tty.max = x\n", &world).is_err());
    assert_eq!(state(&again), before, "a load that fails changes nothing");

    let names = config.keys(None).unwrap_or_default();
    assert!(names.iter().all(|name| Config::is_supported_key(name)), "{names:?}");
}
