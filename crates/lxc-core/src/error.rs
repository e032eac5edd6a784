//! The one error type of the runtime: what was being done, to what, why the kernel refused, and what to do about it.
//!
//! Lower modules return `Error` with a context frame; nobody wraps it in another type. Nothing here prints or logs.

use std::borrow::Cow;
use std::fmt;

use lxc_conf::model::Origin;
use rustix::io::Errno;

pub type Result<T> = std::result::Result<T, Error>;

/// What callers may match on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    NotFound,
    AlreadyExists,
    AlreadyRunning,
    NotRunning,
    Busy,
    Permission,
    Unsupported,
    /// Something the user wrote is wrong.
    Config,
    /// A system call failed; see `Error::errno`.
    Kernel,
    /// A hook or network script failed.
    Hook,
    /// The other side of a socket broke the protocol.
    Protocol,
    TimedOut,
    Internal,
}

impl ErrorKind {
    const ALL: [ErrorKind; 13] = [
        ErrorKind::NotFound,
        ErrorKind::AlreadyExists,
        ErrorKind::AlreadyRunning,
        ErrorKind::NotRunning,
        ErrorKind::Busy,
        ErrorKind::Permission,
        ErrorKind::Unsupported,
        ErrorKind::Config,
        ErrorKind::Kernel,
        ErrorKind::Hook,
        ErrorKind::Protocol,
        ErrorKind::TimedOut,
        ErrorKind::Internal,
    ];
}

/// An error of the runtime.
///
/// - Shape: `frames` outermost first, lower case, operation then object (`mount proc on /proc`); printed joined by
///   `: ` and ended by the errno's text.
#[derive(Clone, Debug)]
pub struct Error {
    kind: ErrorKind,
    frames: Vec<Cow<'static, str>>,
    errno: Option<Errno>,
    origin: Option<Origin>,
    cure: Option<Cow<'static, str>>,
}

impl Error {
    pub fn new(kind: ErrorKind, what: impl Into<Cow<'static, str>>) -> Error {
        Error { kind, frames: vec![what.into()], errno: None, origin: None, cure: None }
    }

    /// A failed system call: `what` is the operation and its object.
    pub fn kernel(errno: Errno, what: impl Into<Cow<'static, str>>) -> Error {
        let kind = match errno {
            Errno::NOENT => ErrorKind::NotFound,
            Errno::EXIST => ErrorKind::AlreadyExists,
            Errno::PERM | Errno::ACCESS => ErrorKind::Permission,
            Errno::BUSY => ErrorKind::Busy,
            Errno::NOSYS | Errno::OPNOTSUPP => ErrorKind::Unsupported,
            Errno::TIMEDOUT => ErrorKind::TimedOut,
            _ => ErrorKind::Kernel,
        };
        Error { kind, frames: vec![what.into()], errno: Some(errno), origin: None, cure: None }
    }

    /// The same error with another kind.
    #[must_use]
    pub fn with_kind(mut self, kind: ErrorKind) -> Error {
        self.kind = kind;
        self
    }

    /// Adds an outer frame.
    #[must_use]
    pub fn context(mut self, what: impl Into<Cow<'static, str>>) -> Error {
        self.frames.insert(0, what.into());
        self
    }

    /// Names the configuration line that asked for the failed operation. The innermost one wins.
    #[must_use]
    pub fn at(mut self, origin: &Origin) -> Error {
        if self.origin.is_none() && origin.file.is_some() {
            self.origin = Some(origin.clone());
        }
        self
    }

    /// One sentence an operator can act on. The innermost one wins.
    #[must_use]
    pub fn cure(mut self, cure: impl Into<Cow<'static, str>>) -> Error {
        self.cure.get_or_insert_with(|| cure.into());
        self
    }

    /// The error as bytes, for a monitor that tells its starter.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let origin = self.origin.clone().unwrap_or_default();
        let mut fields = vec![
            (self.kind as u8).to_string(),
            self.errno.map_or(0, Errno::raw_os_error).to_string(),
            origin.file.as_deref().unwrap_or_default().to_owned(),
            origin.line.to_string(),
            self.cure.as_deref().unwrap_or_default().to_owned(),
        ];
        fields.extend(self.frames.iter().map(|frame| frame.replace('\0', "")));
        fields.join("\0").into_bytes()
    }

    /// What `encode` made; `None` for anything else.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Error> {
        let text = String::from_utf8_lossy(bytes);
        let mut fields = text.split('\0');
        let number: u8 = fields.next()?.parse().ok()?;
        let kind = ErrorKind::ALL.into_iter().find(|kind| *kind as u8 == number)?;
        let errno: i32 = fields.next()?.parse().ok()?;
        let file = fields.next()?;
        let line = fields.next()?.parse().ok()?;
        let cure = fields.next()?;
        let frames: Vec<Cow<'static, str>> = fields.map(|frame| Cow::Owned(frame.to_owned())).collect();
        Some(Error {
            kind,
            frames,
            errno: (errno != 0).then(|| Errno::from_raw_os_error(errno)),
            origin: (!file.is_empty()).then(|| Origin { file: Some(file.into()), line }),
            cure: (!cure.is_empty()).then(|| Cow::Owned(cure.to_owned())),
        })
    }

    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub fn errno(&self) -> Option<Errno> {
        self.errno
    }

    /// The configuration line to blame, if one is known.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// What to do about it, if something can be said.
    pub fn cure_text(&self) -> Option<&str> {
        self.cure.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, frame) in self.frames.iter().enumerate() {
            if index > 0 {
                f.write_str(": ")?;
            }
            f.write_str(frame)?;
        }
        if let Some(errno) = self.errno {
            write!(f, ": {}", errno_text(errno))?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// strerror(3) text of an errno, without the number.
pub fn errno_text(errno: Errno) -> String {
    let text = std::io::Error::from_raw_os_error(errno.raw_os_error()).to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// Turns foreign results into ours, naming the operation.
pub trait ResultExt<T> {
    /// Names the operation and its object; the closure runs only on failure.
    fn what<S: Into<Cow<'static, str>>>(self, what: impl FnOnce() -> S) -> Result<T>;
}

impl<T> ResultExt<T> for std::result::Result<T, Errno> {
    fn what<S: Into<Cow<'static, str>>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|errno| Error::kernel(errno, what()))
    }
}

impl<T> ResultExt<T> for std::result::Result<T, nix::errno::Errno> {
    fn what<S: Into<Cow<'static, str>>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|errno| Error::kernel(Errno::from_raw_os_error(errno as i32), what()))
    }
}

impl<T> ResultExt<T> for std::io::Result<T> {
    fn what<S: Into<Cow<'static, str>>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|error| match error.raw_os_error() {
            Some(raw) => Error::kernel(Errno::from_raw_os_error(raw), what()),
            None => Error::new(ErrorKind::Kernel, format!("{}: {error}", what().into())),
        })
    }
}

impl<T> ResultExt<T> for Result<T> {
    fn what<S: Into<Cow<'static, str>>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|error| error.context(what()))
    }
}

/// Text as the kernel takes it.
///
/// - Errors: `Config` for text with a NUL byte (a file cannot contain one, the API could try).
pub fn cstring(text: impl Into<Vec<u8>>) -> Result<std::ffi::CString> {
    std::ffi::CString::new(text).map_err(|error| {
        let text = error.into_vec();
        Error::new(ErrorKind::Config, format!("text with a NUL byte: {:?}", String::from_utf8_lossy(&text)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_frames_outermost_first_and_the_errno_once() {
        let error = Error::kernel(Errno::NOENT, "open /x").context("read the config");
        assert_eq!(error.to_string(), "read the config: open /x: No such file or directory");
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn an_error_survives_the_way_to_the_starter() {
        let origin = Origin { file: Some("/c".into()), line: 4 };
        for kind in ErrorKind::ALL {
            let error = Error::kernel(Errno::NOENT, "open x")
                .with_kind(kind)
                .at(&origin)
                .cure("make it")
                .context("start");
            let there = Error::decode(&error.encode()).expect("decodes");
            assert_eq!((there.to_string(), there.kind()), (error.to_string(), kind));
            assert_eq!((there.origin(), there.cure_text()), (Some(&origin), Some("make it")));
        }
        assert!(Error::decode(b"nonsense").is_none());
    }

    #[test]
    fn the_innermost_cure_and_origin_win() {
        let inner = Origin { file: Some("a".into()), line: 3 };
        let outer = Origin { file: Some("b".into()), line: 9 };
        let error = Error::new(ErrorKind::Config, "x").cure("first").at(&inner).cure("second").at(&outer);
        assert_eq!(error.cure_text(), Some("first"));
        assert_eq!(error.origin(), Some(&inner));
    }
}
