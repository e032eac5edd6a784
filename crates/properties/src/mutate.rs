//! A plain mutator for where no fuzzer's engine is at hand: flips, cuts, repeats, and words of the dictionary. It sees no
//! coverage; the same seed gives the same inputs.

/// xorshift64*.
#[derive(Clone, Debug)]
pub struct Mutator {
    state: u64,
    words: Vec<Vec<u8>>,
}

impl Mutator {
    /// `dictionary` in libFuzzer's format: one `"word"` a line, `\xHH` for bytes.
    pub fn new(seed: u64, dictionary: &str) -> Mutator {
        Mutator { state: seed | 1, words: dictionary.lines().filter_map(word).collect() }
    }

    fn below(&mut self, limit: usize) -> usize {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let number = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap_or(0) % limit.max(1)
    }

    /// Another input made from `seed` and, now and then, parts of `other`.
    pub fn mutate(&mut self, seed: &[u8], other: &[u8], longest: usize) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            match self.below(8) {
                0 => {
                    let flip = 1 << self.below(8);
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= flip;
                    }
                }
                1 => {
                    let value = u8::try_from(self.below(256)).unwrap_or(0);
                    bytes.insert(at, value);
                }
                2 => {
                    let end = (at + 1 + self.below(8)).min(bytes.len());
                    bytes.drain(at..end);
                }
                3 => {
                    let end = (at + 1 + self.below(40)).min(bytes.len());
                    let part = bytes.get(at..end).unwrap_or_default().to_vec();
                    bytes.splice(at..at, part);
                }
                4 => {
                    let start = self.below(other.len() + 1);
                    let end = (start + 1 + self.below(40)).min(other.len());
                    bytes.splice(at..at, other.get(start..end).unwrap_or_default().to_vec());
                }
                5 => bytes.truncate(at),
                6 => {
                    let signs = b"\n =[]:,/\\#-0\0\xff\"'.*";
                    let sign = signs.get(self.below(signs.len())).copied().unwrap_or(b' ');
                    match bytes.get_mut(at) {
                        Some(byte) => *byte = sign,
                        None => bytes.push(sign),
                    }
                }
                _ => {
                    let which = self.below(self.words.len());
                    let word = self.words.get(which).cloned().unwrap_or_default();
                    bytes.splice(at..at, word);
                }
            }
        }
        bytes.truncate(longest);
        bytes
    }
}

fn word(line: &str) -> Option<Vec<u8>> {
    let start = line.find('"')? + 1;
    let inside = line.get(start..line.rfind('"').filter(|end| *end >= start)?)?;
    if line.trim_start().starts_with('#') {
        return None;
    }
    let mut bytes = Vec::new();
    let mut rest = inside;
    while let Some(first) = rest.chars().next() {
        let hex = rest.strip_prefix("\\x").and_then(|rest| rest.get(..2));
        if let Some(byte) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            bytes.push(byte);
            rest = rest.get(4..).unwrap_or("");
        } else if let Some(after) = rest.strip_prefix("\\\\").or_else(|| rest.strip_prefix("\\\"")) {
            bytes.push(*rest.as_bytes().get(1)?);
            rest = after;
        } else {
            bytes.extend(first.to_string().bytes());
            rest = rest.get(first.len_utf8()..).unwrap_or("");
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dictionaries_are_read_as_libfuzzer_reads_them() {
        assert_eq!(word("kw=\"a\\x00b\""), Some(b"a\0b".to_vec()));
        assert_eq!(word("\"a\\\\b\\\"c\""), Some(b"a\\b\"c".to_vec()));
        assert_eq!(word("# \"a\""), None);
        assert_eq!(word(""), None);
    }

    #[test]
    fn the_same_seed_gives_the_same_inputs_and_others_differ() {
        let inputs = |seed| {
            let mut mutator = Mutator::new(seed, "\"word\"");
            (0..50).map(|_| mutator.mutate(b"lxc.tty.max = 1", b"other", 20)).collect::<Vec<_>>()
        };
        assert_eq!(inputs(3), inputs(3));
        assert_ne!(inputs(3), inputs(5));
        assert!(inputs(3).iter().all(|input| input.len() <= 20));
        assert!(inputs(3).iter().any(|input| input.windows(4).any(|part| part == b"word")));
    }
}
