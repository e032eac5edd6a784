//! The list of injected mounts as text and as JSON. Pure.
//!
//! Not here: where it comes from (`lxc_core::inject`).

use lxc_core::inject::Injected;
use serde::Serialize;

const TITLES: [&str; 4] = ["TARGET", "SOURCE", "TYPE", "OPTIONS"];

/// A header and one line a mount, columns filled with blanks; nothing without mounts.
///
/// - Shape: a mount that was moved in the container shows where it is now; `-` = no options.
pub(crate) fn text(mounts: &[Injected]) -> String {
    if mounts.is_empty() {
        return String::new();
    }
    let rows: Vec<[String; 4]> = std::iter::once(TITLES.map(str::to_owned))
        .chain(mounts.iter().map(|mount| {
            let options = if mount.record.options.is_empty() { "-" } else { &mount.record.options };
            [&mount.mount_point, &mount.record.source, &mount.record.fstype, options].map(str::to_owned)
        }))
        .collect();
    let mut widths = [0; 4];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; 4]| {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", cells.join(" ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[derive(Serialize)]
struct List<'a> {
    schema: &'static str,
    version: u32,
    name: &'a str,
    mounts: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    /// As asked for.
    target: &'a str,
    /// Where it is now, as the container sees it.
    mount_point: &'a str,
    source: &'a str,
    #[serde(rename = "type")]
    fstype: &'a str,
    options: Vec<&'a str>,
}

fn row(mount: &Injected) -> Row<'_> {
    let record = &mount.record;
    Row {
        target: &record.target,
        mount_point: &mount.mount_point,
        source: &record.source,
        fstype: &record.fstype,
        options: record.options.split(',').filter(|option| !option.is_empty()).collect(),
    }
}

/// One JSON object, ended by a newline.
pub(crate) fn json(name: &str, mounts: &[Injected]) -> Result<String, serde_json::Error> {
    let mounts = mounts.iter().map(row).collect();
    Ok(serde_json::to_string_pretty(&List { schema: "lxc-mount", version: 1, name, mounts })? + "\n")
}

#[cfg(test)]
mod tests {
    use lxc_core::inject::Record;

    use super::*;

    fn mount(target: &str, options: &str) -> Injected {
        Injected {
            record: Record {
                mount_id: 1,
                device: "8:1".into(),
                source: "/srv/data".into(),
                target: target.into(),
                fstype: "bind".into(),
                options: options.into(),
            },
            mount_point: target.into(),
        }
    }

    #[test]
    fn columns_line_up_and_nothing_is_nothing() {
        let mounts = [mount("/mnt", "ro,nosuid"), mount("/var/lib/x", "")];
        assert_eq!(
            text(&mounts),
            "TARGET     SOURCE    TYPE OPTIONS\n\
             /mnt       /srv/data bind ro,nosuid\n\
             /var/lib/x /srv/data bind -\n"
        );
        assert_eq!(text(&[]), "");
    }

    #[test]
    fn json_splits_the_options() {
        let text = json("c1", &[mount("/mnt", "ro,nosuid")]).expect("json");
        let value: serde_json::Value = serde_json::from_str(&text).expect("parses");
        assert_eq!(value["mounts"][0]["options"], serde_json::json!(["ro", "nosuid"]));
        assert_eq!(value["mounts"][0]["type"], "bind");
        assert_eq!(value["schema"], "lxc-mount");
    }
}
