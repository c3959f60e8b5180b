//! `kill -9` between the begin and the end of a keyed write.

use std::time::Duration;

use followthrough_database_tests::postgres;
use followthrough_tests::Signal;
use tokio::time::sleep;

use crate::{
    Verdict,
    client::{order, order_once},
    service::{Database, migrate, orders_named, start, url_of},
    without,
};

/// From this number on, the kills have to meet all parts of a write.
const MANY: u32 = 50;

/// Longer than any answer takes here.
const PATIENT: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
struct Tally {
    kills: u32,
    answered_before: u32,
    replayed: u32,
    ran_again: u32,
    doubles: u32,
    missing: u32,
    wrong_answers: u32,
}

/// Kills the service `times` times. Returns why the run does not prove that each order exists exactly once.
pub(crate) async fn run(database: Database, times: u32, seed: u64, skip_missing: bool) -> Verdict {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let url = match database {
        Database::Sqlite => format!("sqlite:{}", folder.path().join("orders.db").display()),
        Database::Postgres => match postgres() {
            Some(server) => url_of(server),
            None => return without("PostgreSQL", skip_missing),
        },
    };
    migrate(&url).await;
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut tally = Tally::default();
    for number in 0..times {
        let after = Duration::from_micros(chance.u64(0..14_000));
        kill_once(&url, &format!("{database:?}-{number}"), after, &mut tally).await;
    }
    print(database, seed, &tally);
    tally.verdict().map_err(|reason| format!("{database:?}: {reason}"))
}

impl Tally {
    fn verdict(&self) -> Verdict {
        let Self { kills, answered_before, replayed, ran_again, .. } = *self;
        if self.doubles + self.missing + self.wrong_answers > 0 {
            return Err("an order exists twice, is missing, or has another answer".to_owned());
        }
        if kills < MANY {
            return Ok(());
        }
        if replayed == 0 || ran_again == 0 {
            return Err(format!(
                "the kills came all before or all after the commit: {replayed} retries were replayed, and \
                 {ran_again} ran the write"
            ));
        }
        if answered_before >= kills.div_ceil(2) {
            return Err(format!(
                "the kills came too late: {answered_before} of {kills} came after the first answer"
            ));
        }
        Ok(())
    }
}

async fn kill_once(url: &str, name: &str, after: Duration, tally: &mut Tally) {
    let mut service = start(url).await;
    let (at, named) = (service.at, name.to_owned());
    let first = tokio::spawn(async move { order_once(at, &named, PATIENT).await });
    service.begun(name).await;
    sleep(after).await;
    service.signal(Signal::KILL);
    let first = first.await.expect("the client does not panic");
    drop(service);
    tally.kills += 1;
    tally.answered_before += u32::from(first.is_some());

    let service = start(url).await;
    let (answer, _) = order(service.at, name, || PATIENT).await;
    let ids = orders_named(url, name).await;
    match ids.len() {
        0 => tally.missing += 1,
        1 => {}
        _ => tally.doubles += 1,
    }
    let is_true = answer.status == 200 && ids.iter().any(|id| id.to_string() == answer.body);
    let is_same = first.is_none_or(|first| first.body == answer.body);
    if !is_true || !is_same {
        println!("`{name}` has the orders {ids:?}, and its retry was answered {answer:?}");
    }
    tally.wrong_answers += u32::from(!is_true || !is_same);
    if answer.is_replayed {
        tally.replayed += 1;
    } else {
        tally.ran_again += 1;
    }
}

fn print(database: Database, seed: u64, tally: &Tally) {
    let Tally { kills, answered_before, replayed, ran_again, doubles, missing, wrong_answers } =
        tally;
    println!(
        "\n`kill -9` between begin and end of a keyed write, {database:?}, seed {seed}\n\n\
         | kills | answered before | retry replayed | retry ran the write | twice | missing | another answer |\n\
         |---:|---:|---:|---:|---:|---:|---:|\n\
         | {kills} | {answered_before} | {replayed} | {ran_again} | {doubles} | {missing} | {wrong_answers} |"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally() -> Tally {
        Tally { kills: 50, answered_before: 24, replayed: 25, ran_again: 25, ..Tally::default() }
    }

    #[test]
    fn a_run_that_meets_no_part_of_a_write_fails() {
        assert_eq!(tally().verdict(), Ok(()));
        let bad = [
            Tally { replayed: 0, ran_again: 50, ..tally() },
            Tally { replayed: 50, ran_again: 0, ..tally() },
            Tally { answered_before: 25, ..tally() },
            Tally { doubles: 1, ..tally() },
            Tally { missing: 1, ..tally() },
            Tally { wrong_answers: 1, ..tally() },
        ];
        for tally in bad {
            assert!(tally.verdict().is_err(), "{tally:?}");
        }
    }

    #[test]
    fn a_short_run_may_miss_a_part_of_the_write() {
        let short = Tally { kills: 49, replayed: 0, ran_again: 49, ..Tally::default() };
        assert_eq!(short.verdict(), Ok(()));
        assert!(Tally { doubles: 1, ..short }.verdict().is_err());
    }
}
