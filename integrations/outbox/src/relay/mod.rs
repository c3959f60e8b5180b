//! The worker that publishes the messages of a table.

mod run;
mod settings;

pub use self::settings::{Poison, Relay, RelayBuilder, RelaySettingsError};
