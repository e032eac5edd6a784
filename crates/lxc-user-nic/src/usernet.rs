//! The grammar of /etc/lxc/lxc-usernet, and which of its lines allow something.
//!
//! `USER|@GROUP TYPE LINK COUNT`; words after the fourth are ignored; a line that starts with a blank or `#` says
//! nothing. Not here: who the caller is and how much he uses already.

/// One line that allows something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// A login name, or `@` and the name of a group.
    pub owner: String,
    /// `veth`.
    pub kind: String,
    /// Name of a bridge, or `none`.
    pub link: String,
    /// How many nics there may be at once.
    pub count: u32,
    /// Counted from 1.
    pub line: usize,
}

/// A line that looks like a rule and is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    pub line: usize,
    pub why: &'static str,
}

/// The file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usernet {
    pub rules: Vec<Rule>,
    pub malformed: Vec<Malformed>,
}

impl Usernet {
    /// The rules for one kind of nic on one link that name one of `owners`, in the order of the file.
    pub fn matching<'a>(
        &'a self,
        owners: &'a [String],
        kind: &'a str,
        link: &'a str,
    ) -> impl Iterator<Item = &'a Rule> + 'a {
        self.rules
            .iter()
            .filter(move |rule| rule.kind == kind && rule.link == link && owners.contains(&rule.owner))
    }
}

/// Reads the file. Never fails: what is not understood allows nothing, and is told.
///
/// COMPAT: a line with a leading blank is ignored, as the original does. Unlike it, a count must be a plain decimal
/// number: the original takes `2x` for 2, and 4294967298 too.
pub fn parse(text: &[u8]) -> Usernet {
    let mut usernet = Usernet::default();
    for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line_number = number.saturating_add(1);
        match rule(line, line_number) {
            Ok(Some(rule)) => usernet.rules.push(rule),
            Ok(None) => {}
            Err(why) => usernet.malformed.push(Malformed { line: line_number, why }),
        }
    }
    usernet
}

fn rule(line: &[u8], number: usize) -> Result<Option<Rule>, &'static str> {
    // Text after a NUL would be seen by one parser and not by another.
    let line = line.split(|byte| *byte == 0).next().unwrap_or_default();
    if line.first().is_none_or(|byte| byte.is_ascii_whitespace() || *byte == b'#') {
        return Ok(None);
    }
    let line = std::str::from_utf8(line).map_err(|_| "not UTF-8")?;
    let mut words = line.split_ascii_whitespace();
    let (Some(owner), Some(kind), Some(link), Some(count)) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err("fewer than four words");
    };
    if !count.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("the fourth word is no number");
    }
    let count = count.parse().map_err(|_| "the number is too large")?;
    Ok(Some(Rule { owner: owner.into(), kind: kind.into(), link: link.into(), count, line: number }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(text: &str) -> Vec<u32> {
        parse(text.as_bytes()).rules.iter().map(|rule| rule.count).collect()
    }

    #[test]
    fn a_rule_is_four_words_and_the_rest_of_the_line_is_nobodys() {
        let usernet = parse(b"alice veth br0 2\n@netty  veth\tnone 10 # ten\r\nbob veth br0 3");
        let owners: Vec<&str> = usernet.rules.iter().map(|rule| rule.owner.as_str()).collect();
        assert_eq!(owners, ["alice", "@netty", "bob"]);
        assert_eq!(usernet.rules[1].link, "none");
        assert_eq!((usernet.rules[2].count, usernet.rules[2].line), (3, 3));
        assert!(usernet.malformed.is_empty());
        assert_eq!(counts("alice veth br0 2\r\n"), [2]);
    }

    #[test]
    fn comments_and_indented_lines_say_nothing() {
        let usernet = parse(b"# alice veth br0 2\n alice veth br0 2\n\talice veth br0 2\n\n#\n");
        assert_eq!(usernet, Usernet::default());
    }

    #[test]
    fn bad_lines_allow_nothing_and_are_told() {
        for (text, why) in [
            ("alice veth br0", "fewer than four words"),
            ("alice veth br0 -1", "the fourth word is no number"),
            ("alice veth br0 0x2", "the fourth word is no number"),
            ("alice veth br0 2x", "the fourth word is no number"),
            ("alice veth br0 +2", "the fourth word is no number"),
            ("alice veth br0 4294967298", "the number is too large"),
        ] {
            let usernet = parse(text.as_bytes());
            assert!(usernet.rules.is_empty(), "{text}");
            assert_eq!(usernet.malformed, [Malformed { line: 1, why }], "{text}");
        }
        assert_eq!(parse(b"\xff veth br0 2\nbob veth br0 2\n").rules.len(), 1);
        assert!(parse(b"alice veth br0\x00 2\n").rules.is_empty());
    }

    #[test]
    fn rules_match_by_owner_kind_and_link_together() {
        let usernet =
            parse(b"alice veth br0 1\nbob veth br0 2\n@g veth br0 3\nalice veth br1 4\nalice phys br0 5\n");
        let owners = ["alice".to_owned(), "@g".to_owned()];
        let found: Vec<u32> = usernet.matching(&owners, "veth", "br0").map(|rule| rule.count).collect();
        assert_eq!(found, [1, 3]);
        assert_eq!(usernet.matching(&owners, "veth", "br").count(), 0);
    }
}
