//! POSIX extended regular expressions, as lxc-ls and lxc-monitor take them, by the C library's own engine.

use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;

/// A compiled expression.
pub struct Regex {
    compiled: Box<libc::regex_t>,
}

impl std::fmt::Debug for Regex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Regex")
    }
}

impl Regex {
    /// Compiles an extended expression.
    ///
    /// - Errors: regerror(3)'s text.
    pub fn compile(pattern: &str) -> Result<Regex, String> {
        let pattern = CString::new(pattern).map_err(|_| "expression contains a NUL".to_owned())?;
        let mut compiled = Box::new(MaybeUninit::<libc::regex_t>::zeroed());
        let flags = libc::REG_EXTENDED | libc::REG_NOSUB;
        // SAFETY: the pattern is NUL-terminated and the target has room for one regex_t.
        let code = unsafe { libc::regcomp(compiled.as_mut_ptr(), pattern.as_ptr(), flags) };
        if code != 0 {
            return Err(error_text(code, compiled.as_ptr()));
        }
        // SAFETY: a successful regcomp filled the structure.
        Ok(Regex { compiled: unsafe { compiled.assume_init() } })
    }

    /// Whether any part of `text` matches. Text with a NUL ends there.
    pub fn is_match(&self, text: &str) -> bool {
        let Ok(text) = CString::new(text.split('\0').next().unwrap_or_default()) else { return false };
        // SAFETY: compiled by regcomp and not freed; the text is NUL-terminated; no match positions are asked for.
        let code =
            unsafe { libc::regexec(&raw const *self.compiled, text.as_ptr(), 0, std::ptr::null_mut(), 0) };
        code == 0
    }
}

impl Drop for Regex {
    fn drop(&mut self) {
        // SAFETY: compiled by regcomp, freed once.
        unsafe { libc::regfree(&raw mut *self.compiled) };
    }
}

fn error_text(code: i32, failed: *const libc::regex_t) -> String {
    let mut buffer = [0u8; 128];
    // SAFETY: the buffer has the given size; regerror terminates what it writes; `failed` is the structure that failed.
    unsafe { libc::regerror(code, failed, buffer.as_mut_ptr().cast(), buffer.len()) };
    CStr::from_bytes_until_nul(&buffer)
        .map_or_else(|_| String::new(), |text| text.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extended_syntax_is_understood() {
        let regex = Regex::compile("^(web|db)[0-9]+$").unwrap();
        assert!(regex.is_match("web1") && regex.is_match("db22"));
        assert!(!regex.is_match("web") && !regex.is_match("xweb1"));
        assert!(Regex::compile("").unwrap().is_match("anything"));
        assert!(Regex::compile("é").unwrap().is_match("café"));
    }

    #[test]
    fn a_broken_expression_says_what_is_wrong() {
        assert!(!Regex::compile("(").unwrap_err().is_empty());
        assert!(!Regex::compile("[a").unwrap_err().is_empty());
        assert!(Regex::compile("a\0b").is_err());
    }
}
