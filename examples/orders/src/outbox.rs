//! `orders outbox`: what an operator does with the letters that the warehouse has refused.

use std::time::Duration;

use followthrough_outbox::{Outbox, Parked};

use crate::cli::{OutboxCommand, ServiceFile};
use crate::db::{Location, OpenError, open_outbox};

const HEADS: [&str; 7] =
    ["number", "topic", "key", "attempts", "parked for", "holds its key", "reason"];

/// Why a command failed, in one line each.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutboxError {
    #[error("cannot use the database `{location}`: {error}")]
    Database { location: Location, error: OpenError },
    #[error(
        "no parked letter has the number {0}: `orders outbox list` prints those that are parked"
    )]
    NoSuchLetter(i64),
}

/// Runs a command and returns its output.
pub(crate) async fn run(command: OutboxCommand) -> Result<String, OutboxError> {
    let (OutboxCommand::List { file: ServiceFile { db } }
    | OutboxCommand::Retry { file: ServiceFile { db }, .. }
    | OutboxCommand::Drop { file: ServiceFile { db }, .. }) = &command;
    let failed = |error| OutboxError::Database { location: db.clone(), error };
    let outbox = open_outbox(db).await.map_err(failed)?;
    let failed = |error: sqlx::Error| failed(error.into());
    match command {
        OutboxCommand::List { .. } => {
            let parked = outbox.parked(u32::MAX).await.map_err(failed)?;
            Ok(if parked.is_empty() { "no letter is parked\n".to_owned() } else { table(&parked) })
        }
        OutboxCommand::Retry { number: Some(number), .. } => {
            let found = outbox.retry(number).await.map_err(failed)?;
            let line = format!("letter {number} is back in line\n");
            found.then_some(line).ok_or(OutboxError::NoSuchLetter(number))
        }
        OutboxCommand::Retry { number: None, .. } => {
            let mut letters = 0;
            // Read once: a letter that is parked again meanwhile stays parked.
            for letter in outbox.parked(u32::MAX).await.map_err(failed)? {
                letters += u32::from(outbox.retry(letter.number).await.map_err(failed)?);
            }
            Ok(format!(
                "{letters} {} back in line\n",
                if letters == 1 { "letter is" } else { "letters are" }
            ))
        }
        OutboxCommand::Drop { number, .. } => {
            let found = outbox.drop_parked(number).await.map_err(failed)?;
            let line = format!("letter {number} is dropped\n");
            found.then_some(line).ok_or(OutboxError::NoSuchLetter(number))
        }
    }
}

fn table(parked: &[Parked]) -> String {
    let rows = parked.iter().map(|letter| {
        [
            letter.number.to_string(),
            one_line(&letter.topic),
            letter.key.as_deref().map_or_else(String::new, one_line),
            letter.attempts.to_string(),
            age(letter.parked_for),
            if letter.holds_key { "yes" } else { "no" }.to_owned(),
            one_line(&letter.reason),
        ]
    });
    let rows: Vec<_> = std::iter::once(HEADS.map(str::to_owned)).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; 7] = std::array::from_fn(|column| width(column).unwrap_or(0));
    let mut table = String::new();
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        table += cells.collect::<Vec<_>>().join("  ").trim_end();
        table.push('\n');
    }
    table
}

/// Escapes control characters: the reason is a text of the warehouse, and the terminal obeys them.
fn one_line(text: &str) -> String {
    let characters = text
        .chars()
        .map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() });
    characters.collect()
}

/// Returns a time as `42s`, `17m`, `5h` or `3d`.
fn age(time: Duration) -> String {
    match time.as_secs() {
        seconds @ ..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m", seconds / 60),
        seconds @ 3600..86400 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_one_unit() {
        let ages = [0, 59, 60, 3599, 3600, 86_399, 86_400].map(Duration::from_secs).map(age);
        assert_eq!(ages, ["0s", "59s", "1m", "59m", "1h", "23h", "1d"]);
    }

    #[test]
    fn a_reason_stays_on_its_line() {
        assert_eq!(one_line("a\n\u{1b}[2J café"), "a\\n\\u{1b}[2J café");
    }
}
