//! x
use anyhow::{Result, bail};
pub fn run(_words: &[String]) -> Result<()> {
    bail!("not yet")
}
