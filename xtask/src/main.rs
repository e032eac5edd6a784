//! Tasks of this repository: `cargo xtask TASK`. Depends on std and anyhow only, so that it builds before anything the
//! product needs is installed; it installs that first. Not part of any package.
#![forbid(unsafe_code)]

mod bench;
mod compliance;
mod demo;
mod fuzz;
mod harden;
mod install;
mod man;
mod packages;
mod sh;
mod stage;
mod test;
mod tidy;
mod vm;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask TASK

  demo                       a container's whole life with our tools, with the time each step took
  test [--fast]              every tier of tests (--fast: those that need no container)
  test --no-vm               every tier but the one in the virtual machine
  test --tier N              one tier: 0-2 unit and plan, 3 live, 4 compliance, 6 interop, 7 fuzz, 8 virtual machine
  vm [--up|--run LINE|…]     the tests in the virtual machine, or anything in it (`vm --help`)
  test --theirs              the compliance tests on the original only
  compliance report          what COMPATIBILITY.md and the list of expected failures claim, counted
  fuzz [--time SECS] [--runs N] [TARGET...]
                             the fuzz targets, a minute each unless told otherwise
  bench [--quick]            our tools against C LXC, interleaved: medians and ratios
  install --prefix P [--destdir D] [--sysconfdir S] [--localstatedir L] [--runtimedir R] [--libdir L] [--separate]
                             everything a package would contain
  harden [--staged]          builds a release and checks what the linker and the profiles promise of its programs
  man [--check]              writes (or compares) the manual pages
  stage                      builds what the tests run into target/stage
  tidy [--bless]             the rules of ARCHITECTURE.md that no compiler checks (--bless: take over the unsafe count)
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (task, rest) = match words.split_first() {
        Some((task, rest)) => (task.as_str(), rest),
        None => ("help", words.as_slice()),
    };
    let outcome = match task {
        "demo" => demo::run(rest),
        "test" => test::run(rest),
        "compliance" => compliance::run(rest),
        "bench" => bench::run(rest),
        "fuzz" => fuzz::run(rest),
        "install" => install::run(rest),
        "harden" => harden::run(rest),
        "man" => man::run(rest),
        "tidy" => tidy::run(rest),
        "stage" => stage::build(),
        "vm" => vm::run(rest),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        other => Err(anyhow::anyhow!("no task named {other}\n\n{USAGE}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask {task}: {error:#}");
            ExitCode::FAILURE
        }
    }
}
