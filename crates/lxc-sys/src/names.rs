//! Names of users and groups, as the C library finds them (nsswitch.conf: files, LDAP, sssd …).
//!
//! Not here: any decision about them, and parsing of /etc/passwd by hand, which would miss every other source.

use std::ffi::CStr;

/// A caller-made buffer that is large enough for any sane entry (`_SC_GETPW_R_SIZE_MAX` is 1024 on Linux).
const FIRST: usize = 1024;
const LAST: usize = 1024 * 1024;

/// Login name of `uid`; `None` when no source knows it or it is not UTF-8.
///
/// - Source: getpwuid_r(3).
pub fn user(uid: u32) -> Option<String> {
    let mut buffer = vec![0u8; FIRST];
    loop {
        let mut entry = std::mem::MaybeUninit::<libc::passwd>::uninit();
        let mut found = std::ptr::null_mut();
        // SAFETY: all pointers are valid for the call; the strings of the entry go into `buffer`, whose size is given.
        let result = unsafe {
            libc::getpwuid_r(
                uid,
                entry.as_mut_ptr(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                &raw mut found,
            )
        };
        if result == libc::ERANGE && buffer.len() < LAST {
            buffer.resize(buffer.len() * 2, 0);
            continue;
        }
        if result != 0 || found.is_null() {
            return None;
        }
        // SAFETY: success with a result means that the entry was filled.
        let entry = unsafe { entry.assume_init() };
        // SAFETY: `pw_name` of a filled entry is a terminated string in `buffer`, which is alive.
        let name = unsafe { CStr::from_ptr(entry.pw_name) };
        return name.to_str().ok().map(str::to_owned);
    }
}

/// Name of `gid`; `None` when no source knows it or it is not UTF-8.
///
/// - Source: getgrgid_r(3).
pub fn group(gid: u32) -> Option<String> {
    let mut buffer = vec![0u8; FIRST];
    loop {
        let mut entry = std::mem::MaybeUninit::<libc::group>::uninit();
        let mut found = std::ptr::null_mut();
        // SAFETY: all pointers are valid for the call; the strings of the entry go into `buffer`, whose size is given.
        let result = unsafe {
            libc::getgrgid_r(
                gid,
                entry.as_mut_ptr(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                &raw mut found,
            )
        };
        if result == libc::ERANGE && buffer.len() < LAST {
            buffer.resize(buffer.len() * 2, 0);
            continue;
        }
        if result != 0 || found.is_null() {
            return None;
        }
        // SAFETY: success with a result means that the entry was filled.
        let entry = unsafe { entry.assume_init() };
        // SAFETY: `gr_name` of a filled entry is a terminated string in `buffer`, which is alive.
        let name = unsafe { CStr::from_ptr(entry.gr_name) };
        return name.to_str().ok().map(str::to_owned);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_has_a_name_and_the_last_id_has_none() {
        assert_eq!(user(0).as_deref(), Some("root"));
        assert_eq!(group(0).as_deref(), Some("root"));
        assert_eq!(user(u32::MAX - 1), None);
        assert_eq!(group(u32::MAX - 1), None);
    }
}
