//! x
use anyhow::Result;
pub fn run(_words: &[String]) -> Result<()> {
    check()
}
pub fn check() -> Result<()> {
    Ok(())
}
