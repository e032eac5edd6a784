//! `lxc.init.cmd` and `lxc.execute.cmd`: a command line split into words without a shell.

/// Splits on space and TAB; `'…'` and `"…"` keep a word together and are removed; there are no escapes. A quote that
/// is never closed runs to the end.
pub fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    for c in line.chars() {
        match quote {
            Some(q) if c == q => quote = None,
            Some(_) => word.get_or_insert_default().push(c),
            None if c == '\'' || c == '"' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c == ' ' || c == '\t' => words.extend(word.take()),
            None => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_group_words() {
        assert_eq!(split(r#"/bin/sh -c "echo 'a  b'" x"#), ["/bin/sh", "-c", "echo 'a  b'", "x"]);
        assert_eq!(split("  a\tb  "), ["a", "b"]);
        assert_eq!(split(r#"a"b c"d ''"#), ["ab cd", ""]);
        assert_eq!(split(r#"a "b c"#), ["a", "b c"]);
        assert_eq!(split(r"a\ b"), [r"a\", "b"]);
        assert!(split("").is_empty());
    }
}
