//! The command `cargo followthrough`.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Cargo calls `cargo-followthrough followthrough scan ..`.
    let mut args: Vec<_> = std::env::args_os().collect();
    if args.get(1).is_some_and(|first| first == "followthrough") {
        args.remove(1);
    }
    cargo_followthrough::run(args)
}
