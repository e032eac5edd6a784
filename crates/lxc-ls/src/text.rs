//! Rows as text, byte for byte as the original writes them.
//!
//! Widths are counted in bytes, as printf(3) does.

use std::fmt::Write;

use crate::columns::Column;
use crate::rows::Row;
use crate::walk;

/// `parent/child` for containers within containers.
fn path(row: &Row, parents: &[&str]) -> String {
    let mut path = String::new();
    for parent in parents {
        let _ = write!(path, "{parent}/");
    }
    path + &row.name
}

fn paths(rows: &[Row]) -> Vec<String> {
    let mut paths = Vec::new();
    walk(rows, &mut |row, parents| paths.push(path(row, parents)));
    paths
}

/// One name a line.
pub(crate) fn lines(out: &mut String, rows: &[Row]) {
    for path in paths(rows) {
        let _ = writeln!(out, "{path}");
    }
}

/// Names filled up with blanks to the longest: one a line, or as many as fit into `width` columns of a terminal.
pub(crate) fn padded(out: &mut String, rows: &[Row], width: Option<usize>) {
    let paths = paths(rows);
    let longest = paths.iter().map(String::len).max().unwrap_or(0).max(Column::Name.header().len());
    let columns = width.map_or(1, |width| ((width + 1) / (longest + 1)).max(1));
    let last = paths.len().saturating_sub(1);
    for (index, path) in paths.iter().enumerate() {
        pad(out, path, longest);
        let ends_row = (index + 1) % columns == 0;
        if !ends_row {
            out.push(' ');
        }
        if ends_row || index == last {
            out.push('\n');
        }
    }
}

/// The table: a header, then a line a container; every cell is followed by a blank.
pub(crate) fn table(out: &mut String, columns: &[Column], rows: &[Row]) {
    let mut lines: Vec<Vec<String>> = vec![columns.iter().map(|column| column.header().to_owned()).collect()];
    walk(rows, &mut |row, parents| {
        lines.push(columns.iter().map(|column| cell(*column, row, parents.len())).collect());
    });
    let width = |at: usize, column: Column| {
        let longest = lines.iter().filter_map(|line| line.get(at)).map(String::len).max().unwrap_or(0);
        // COMPAT: a stopped container counts as `0.00MB` wide, although its cell shows `-`.
        if matches!(column, Column::Ram | Column::Swap) { longest.max("0.00MB".len()) } else { longest }
    };
    let widths: Vec<usize> = columns.iter().enumerate().map(|(at, column)| width(at, *column)).collect();
    for line in &lines {
        for (cell, width) in line.iter().zip(&widths) {
            pad(out, cell, *width);
            out.push(' ');
        }
        out.push('\n');
    }
}

fn pad(out: &mut String, text: &str, width: usize) {
    out.push_str(text);
    out.extend(std::iter::repeat_n(' ', width.saturating_sub(text.len())));
}

fn cell(column: Column, row: &Row, level: usize) -> String {
    match column {
        Column::Name if level > 0 => format!("{:>level$}{}", '\\', row.name),
        Column::Name => row.name.clone(),
        Column::State => row.state.clone(),
        Column::Pid => row.pid.map_or_else(dash, |pid| pid.to_string()),
        Column::Ram => row.memory_bytes.map_or_else(dash, megabytes),
        Column::Swap => row.swap_bytes.map_or_else(dash, megabytes),
        Column::Autostart => u8::from(row.autostart).to_string(),
        Column::Groups => list(&row.groups),
        Column::Interface => list(&row.interfaces),
        Column::Ipv4 => list(&row.ipv4),
        Column::Ipv6 => list(&row.ipv6),
        Column::Unprivileged => row.unprivileged.to_string(),
    }
}

fn dash() -> String {
    "-".to_owned()
}

fn list(words: &[String]) -> String {
    if words.is_empty() { dash() } else { words.join(", ") }
}

fn megabytes(bytes: u64) -> String {
    #[allow(clippy::cast_precision_loss, reason = "two decimals of a megabyte are shown")]
    let value = bytes as f64 / 1024.0 / 1024.0;
    format!("{value:.2}MB")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str) -> Row {
        Row {
            name: name.to_owned(),
            state: "STOPPED".to_owned(),
            defined: true,
            pid: None,
            memory_bytes: None,
            swap_bytes: None,
            autostart: false,
            groups: Vec::new(),
            interfaces: Vec::new(),
            ipv4: Vec::new(),
            ipv6: Vec::new(),
            unprivileged: false,
            nested: Vec::new(),
        }
    }

    fn padded_text(names: &[&str], width: Option<usize>) -> String {
        let rows: Vec<Row> = names.iter().map(|name| row(name)).collect();
        let mut out = String::new();
        padded(&mut out, &rows, width);
        out
    }

    /// Every expectation was seen from the original on terminals of these widths.
    #[test]
    fn names_fill_the_terminal_as_the_originals_do() {
        assert_eq!(padded_text(&["a"], None), "a   \n");
        assert_eq!(padded_text(&["tools-c2"], Some(80)), "tools-c2 \n");
        let names = ["tools-c1", "tools-sp ace", "x"];
        assert_eq!(padded_text(&names, Some(24)), "tools-c1    \ntools-sp ace\nx           \n");
        assert_eq!(padded_text(&names, Some(25)), "tools-c1     tools-sp ace\nx            \n");
        assert_eq!(padded_text(&names, Some(0)), "tools-c1    \ntools-sp ace\nx           \n");
        assert_eq!(padded_text(&names, Some(38)), "tools-c1     tools-sp ace x           \n");
    }

    #[test]
    fn tables_pad_every_cell_and_indent_nested_names() {
        let mut outer = row("outer");
        outer.memory_bytes = Some(2_139_095);
        outer.groups = vec!["a".into(), "b".into()];
        let mut inner = row("inner");
        inner.nested = vec![row("deep")];
        outer.nested = vec![inner];
        let mut out = String::new();
        table(&mut out, &[Column::Name, Column::Ram, Column::Swap, Column::Groups], &[outer.clone()]);
        assert_eq!(
            out,
            "NAME   RAM    SWAP   GROUPS \n\
             outer  2.04MB -      a, b   \n\
             \\inner -      -      -      \n \\deep -      -      -      \n"
        );
        let mut out = String::new();
        lines(&mut out, &[outer]);
        assert_eq!(out, "outer\nouter/inner\nouter/inner/deep\n");
    }

    #[test]
    fn no_columns_leave_empty_lines() {
        let mut out = String::new();
        table(&mut out, &[], &[row("a")]);
        assert_eq!(out, "\n\n");
    }
}
