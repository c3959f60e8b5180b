//! `kill -9` between the begin and the end of a keyed write.

use std::time::Duration;

use followthrough_database_tests::postgres;
use followthrough_tests::Signal;
use tokio::time::sleep;

use crate::{
    client::{order, order_once},
    service::{Database, migrate, orders_named, start, url_of},
};

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

/// Kills the service `times` times. Returns whether each order exists exactly once.
pub(crate) async fn run(database: Database, times: u32, seed: u64) -> bool {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let url = match database {
        Database::Sqlite => format!("sqlite:{}", folder.path().join("orders.db").display()),
        Database::Postgres => match postgres() {
            Some(server) => url_of(server),
            None => return true,
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
    tally.doubles + tally.missing + tally.wrong_answers == 0
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
