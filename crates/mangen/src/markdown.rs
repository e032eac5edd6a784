//! The few forms of Markdown the sources use, as man(7) text. Not a Markdown parser.
//!
//! First line `% summary`. Then `# HEADING`, `## Subheading`, paragraphs, `* ` items, `term` followed by `: text` (a
//! definition), indented lines (verbatim), `| a | b |` rows (a table), and `**bold**`, `*italic*`, `` `bold` `` within
//! text. A line `@NAME@` stays for the caller.

use anyhow::{Context, Result};

/// Turns a page's source into man(7) text.
pub(crate) fn to_roff(title: &str, section: &str, text: &str) -> Result<String> {
    let summary = text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("% "))
        .context("the first line is `% summary`")?;
    let mut out = format!(
        ".\\\" Made by `cargo xtask man` from man/src/{title}.{section}.md and the code; do not edit.\n\
         .TH \"{}\" \"{section}\" \"\" \"LXC {}\" \"LXC\"\n.SH NAME\n{} \\- {}\n",
        title.to_uppercase(),
        env!("CARGO_PKG_VERSION"),
        escape(title),
        inline(summary)
    );
    let lines: Vec<&str> = text.lines().skip(1).collect();
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        at += 1;
        if line.trim().is_empty() {
            continue;
        }
        if let Some(heading) = line.strip_prefix("# ") {
            out.push_str(&format!(".SH \"{}\"\n", escape(heading)));
        } else if let Some(heading) = line.strip_prefix("## ") {
            out.push_str(&format!(".SS \"{}\"\n", escape(heading)));
        } else if line.starts_with('@') && line.ends_with('@') {
            out.push_str(line);
            out.push('\n');
        } else if line.starts_with("    ") {
            let block = take(&lines, &mut at, line, |next| next.starts_with("    ") || next.is_empty());
            paragraph_break(&mut out);
            out.push_str(".RS 4\n.nf\n");
            for code in trim_blank_end(&block) {
                out.push_str(&protect(&escape(code.strip_prefix("    ").unwrap_or(code))));
                out.push('\n');
            }
            out.push_str(".fi\n.RE\n");
        } else if let Some(item) = line.strip_prefix("* ") {
            let text = paragraph(&lines, &mut at, item);
            out.push_str(&format!(".IP \\(bu 2\n{}\n", protect(&inline(&text))));
        } else if line.starts_with('|') {
            let rows = take(&lines, &mut at, line, |next| next.starts_with('|'));
            table(&mut out, &rows);
        } else if lines.get(at).is_some_and(|next| next.starts_with(": ")) {
            let first = lines.get(at).and_then(|next| next.strip_prefix(": ")).unwrap_or_default();
            at += 1;
            let text = paragraph(&lines, &mut at, first);
            out.push_str(&format!(".TP\n{}\n{}\n", protect(&inline(line)), protect(&inline(&text))));
        } else {
            let text = paragraph(&lines, &mut at, line);
            paragraph_break(&mut out);
            out.push_str(&format!("{}\n", protect(&inline(&text))));
        }
    }
    Ok(out)
}

/// A heading already starts a paragraph.
fn paragraph_break(out: &mut String) {
    let last = out.lines().last().unwrap_or_default();
    if !last.starts_with(".SH") && !last.starts_with(".SS") {
        out.push_str(".PP\n");
    }
}

/// The line and those after it that go on the same paragraph.
fn paragraph(lines: &[&str], at: &mut usize, first: &str) -> String {
    let goes_on = |next: &str| {
        !next.trim().is_empty()
            && !next.starts_with(['#', '|', '@'])
            && !next.starts_with("* ")
            && !next.starts_with(": ")
    };
    let block = take(lines, at, first, goes_on);
    block.iter().map(|line| line.trim()).collect::<Vec<_>>().join("\n")
}

fn take<'a>(
    lines: &[&'a str],
    at: &mut usize,
    first: &'a str,
    wanted: impl Fn(&str) -> bool,
) -> Vec<&'a str> {
    let mut block = vec![first];
    while let Some(next) = lines.get(*at).filter(|next| wanted(next)) {
        block.push(next);
        *at += 1;
    }
    block
}

fn trim_blank_end<'a, 'b>(block: &'b [&'a str]) -> &'b [&'a str] {
    let end = block.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
    block.get(..end).unwrap_or(block)
}

/// Rows as tagged paragraphs: the first cell is the tag. The row of dashes and the one before it are for readers of
/// the source.
fn table(out: &mut String, rows: &[&str]) {
    let cells = |row: &str| -> Vec<String> {
        row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let is_rule = |row: &&str| row.chars().all(|letter| "|-: ".contains(letter));
    let start = rows.iter().position(is_rule).map_or(0, |rule| rule + 1);
    for row in rows.iter().skip(start) {
        let cells = cells(row);
        if let Some((tag, rest)) = cells.split_first() {
            out.push_str(&format!(
                ".TP\n{}\n{}\n",
                protect(&inline(tag)),
                protect(&inline(&rest.join("; ")))
            ));
        }
    }
}

/// Characters with a meaning in roff.
fn escape(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-").replace('"', "\\(dq")
}

/// A line must not start with a control character.
fn protect(text: &str) -> String {
    let line =
        |line: &str| if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line.to_owned() };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// `**bold**`, `*italic*` and `` `bold` ``.
fn inline(text: &str) -> String {
    let mut out = String::new();
    let mut open = None;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let mark = match letter {
            '`' => "`",
            '*' if open != Some("`") && letters.peek() == Some(&'*') => {
                letters.next();
                "**"
            }
            '*' if open != Some("`") => "*",
            _ => {
                out.push_str(&escape(&letter.to_string()));
                continue;
            }
        };
        match open {
            Some(known) if known == mark => {
                out.push_str("\\fR");
                open = None;
            }
            Some(_) => out.push_str(&escape(mark)),
            None => {
                out.push_str(if mark == "*" { "\\fI" } else { "\\fB" });
                open = Some(mark);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms() {
        let text = "% does x\n\n# DESCRIPTION\n\nOne *two* `a-b`\n.three\n\n* item\n\nterm\n: meaning\n\n    code -x\n\n| a | b |\n|---|---|\n| 0 | fine |\n";
        let roff = to_roff("tool", "1", text).expect("a good source");
        for line in [
            ".SH NAME\ntool \\- does x\n",
            ".SH \"DESCRIPTION\"\nOne \\fItwo\\fR \\fBa\\-b\\fR\n\\&.three\n",
            ".IP \\(bu 2\nitem\n",
            ".TP\nterm\nmeaning\n",
            ".nf\ncode \\-x\n.fi\n",
            ".TP\n0\nfine\n",
        ] {
            assert!(roff.contains(line), "{line:?} is not in {roff}");
        }
        assert!(!roff.contains(".TP\na\n"));
    }

    #[test]
    fn a_source_without_a_summary_is_refused() {
        assert!(to_roff("tool", "1", "# X\n").is_err());
    }
}
