//! Counts allocations for `followthrough-benches`, which starts this program. The output is one
//! line of JSON with the names of the ways and a number for each.

use std::process::ExitCode;

use allocation_counter::measure;
use followthrough_benches::{WAYS, apps::keyed::can_wait, calls, pending};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let counted: Vec<(&str, u64)> = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..]
    {
        ["calls", number] => {
            let all = WAYS.iter().map(|way| way.id);
            counted(all, number, |way, number| calls(way, number, |call| measure(call).count_total))
        }
        ["pending", number] => {
            let waiting = WAYS.iter().map(|way| way.id).filter(|way| can_wait(way));
            counted(waiting, number, |way, number| {
                let requests = usize::try_from(number).unwrap_or(usize::MAX);
                let held = pending(way, requests, |begin| measure(begin).bytes_current);
                u64::try_from(held).unwrap_or(0)
            })
        }
        _ => Vec::new(),
    };
    match serde_json::to_string(&counted) {
        Ok(json) if !counted.is_empty() => {
            println!("{json}");
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("usage: count-allocations (calls | pending) <number>");
            ExitCode::from(2)
        }
    }
}

/// Returns a count for each of `ways`, or nothing if `number` is not a number.
fn counted(
    ways: impl Iterator<Item = &'static str>,
    number: &str,
    count: impl Fn(&'static str, u64) -> u64,
) -> Vec<(&'static str, u64)> {
    let Ok(number) = number.parse() else { return Vec::new() };
    ways.map(|way| (way, count(way, number))).collect()
}
