//! The order service as a binary of this package, so that cargo builds it before the tests.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    orders::main().await
}
