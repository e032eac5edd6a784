//! The columns of the table.

/// One column, named as in `--fancy-format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    Name,
    State,
    Pid,
    Ram,
    Swap,
    Autostart,
    Groups,
    Interface,
    Ipv4,
    Ipv6,
    Unprivileged,
}

pub(crate) const ALL: [Column; 11] = [
    Column::Name,
    Column::State,
    Column::Pid,
    Column::Ram,
    Column::Swap,
    Column::Autostart,
    Column::Groups,
    Column::Interface,
    Column::Ipv4,
    Column::Ipv6,
    Column::Unprivileged,
];

/// What `-f` shows without `-F`.
pub(crate) const DEFAULT: [Column; 7] = [
    Column::Name,
    Column::State,
    Column::Autostart,
    Column::Groups,
    Column::Ipv4,
    Column::Ipv6,
    Column::Unprivileged,
];

impl Column {
    pub(crate) fn header(self) -> &'static str {
        match self {
            Column::Name => "NAME",
            Column::State => "STATE",
            Column::Pid => "PID",
            Column::Ram => "RAM",
            Column::Swap => "SWAP",
            Column::Autostart => "AUTOSTART",
            Column::Groups => "GROUPS",
            Column::Interface => "INTERFACE",
            Column::Ipv4 => "IPV4",
            Column::Ipv6 => "IPV6",
            Column::Unprivileged => "UNPRIVILEGED",
        }
    }
}

/// Columns joined by commas, in any case and in the order wanted.
///
/// - Errors: the first word that names none.
pub(crate) fn parse(text: &str) -> Result<Vec<Column>, String> {
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    words
        .map(|word| {
            let found = ALL.into_iter().find(|column| column.header().eq_ignore_ascii_case(word));
            found.ok_or_else(|| word.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_words_in_any_case_and_order() {
        assert_eq!(parse(" pid,Name ,"), Ok(vec![Column::Pid, Column::Name]));
        assert_eq!(parse("NAME,bogus,x"), Err("bogus".to_owned()));
        assert_eq!(parse(""), Ok(vec![]));
    }
}
