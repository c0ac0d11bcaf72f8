//! The `vmssh` program: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    vmssh::cli::main()
}
