//! The command `orders`.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    orders::main().await
}
