//! `-s KEY=VALUE` on top of a configuration: refused and nothing changed, or one more setting that survives a save.

use lxc_conf::{Config, Memory};

use crate::config::{check_error, reading, state};
use crate::text;

const BEFORE: &str = "lxc.uts.name = c\nlxc.net.0.type = veth\nlxc.net.0.ipv4.address = 10.0.3.5/24\n\
    lxc.net.7.type = macvlan\nlxc.cap.drop = kill\nlxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536\n\
    lxc.mount.entry = proc proc proc defaults 0 0\nlxc.cgroup2.memory.max = 5\nlxc.environment = A=b\n";

pub fn check(input: &[u8]) {
    let Some((key, value)) = text(input).and_then(|text| text.split_once('=')) else { return };
    let world = Memory::default();
    let mut config = Config::new();
    config.load_bytes("t", BEFORE.as_bytes(), &world).expect("a good configuration");
    let before = state(&config);
    let lines = |config: &Config| config.to_bytes().iter().filter(|byte| **byte == b'\n').count();
    let had = lines(&config);

    match config.set_from(key, value, &world) {
        Err(error) => {
            check_error(&error, 0);
            assert_eq!(state(&config), before, "a refused setting changes nothing");
        }
        Ok(()) => {
            assert!(lines(&config) <= had + 1, "one setting is one line");
            survives(&config, input, &world);
        }
    }

    let before = state(&config);
    match config.clear(key) {
        Err(_) => assert_eq!(state(&config), before),
        Ok(()) => survives(&config, input, &world),
    }
}

/// Saving and loading gives the same configuration.
fn survives(config: &Config, input: &[u8], world: &Memory) {
    let saved = config.to_bytes();
    let mut again = Config::new();
    if let Err(errors) = again.load_bytes("t", &saved, world) {
        panic!("what was saved does not load: {errors:?}");
    }
    assert_eq!(again.to_bytes(), saved, "saved and loaded");
    assert_eq!(reading(&again, input), reading(config, input), "saved and loaded");
}
