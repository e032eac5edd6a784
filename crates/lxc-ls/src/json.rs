//! Rows as one JSON document.
//!
//! The schema only ever grows; a change that breaks readers raises `version`.

use std::path::Path;

use serde::Serialize;

use crate::rows::Row;

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    version: u32,
    lxcpath: &'a str,
    containers: &'a [Row],
}

/// The document of `--format=json`, ended by a newline.
pub(crate) fn document(lxcpath: &Path, rows: &[Row]) -> anyhow::Result<String> {
    let lxcpath = lxcpath.to_string_lossy();
    let document = Document { schema: "lxc-ls", version: 1, lxcpath: &lxcpath, containers: rows };
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_list_is_still_a_document() {
        let text = document(Path::new("/x"), &[]).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["schema"], "lxc-ls");
        assert_eq!(value["version"], 1);
        assert_eq!(value["lxcpath"], "/x");
        assert_eq!(value["containers"].as_array().map(Vec::len), Some(0));
    }
}
