//! Compares the committed messages with the messages in the stream.

use std::collections::{HashMap, HashSet};

use crate::Verdict;

/// A message whose transaction has committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    /// Its payload, or the beginning of it, which no other message has.
    pub(crate) name: String,
    /// Its key, and its place in the order of the key.
    pub(crate) place: Option<(String, i64)>,
}

/// The messages in the stream, as counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arrivals {
    pub(crate) committed: usize,
    /// Messages with a key.
    pub(crate) keyed: usize,
    pub(crate) arrived: usize,
    /// Arrivals of a message that had arrived before.
    pub(crate) repeated: usize,
    pub(crate) missing: usize,
    /// First arrivals after a later message of their key.
    pub(crate) out_of_order: usize,
    /// Arrivals of messages that were not committed.
    pub(crate) unknown: usize,
}

impl Arrivals {
    /// Compares the committed messages with the names in the stream, in the order of the stream.
    pub(crate) fn new(committed: &[Committed], stream: &[String]) -> Self {
        let places: HashMap<&str, &Option<(String, i64)>> =
            committed.iter().map(|message| (message.name.as_str(), &message.place)).collect();
        let mut counts = Self {
            committed: committed.len(),
            keyed: committed.iter().filter(|message| message.place.is_some()).count(),
            arrived: stream.len(),
            ..Self::default()
        };
        let mut seen = HashSet::new();
        let mut last: HashMap<&str, i64> = HashMap::new();
        for name in stream {
            let Some(place) = places.get(name.as_str()) else {
                counts.unknown += 1;
                continue;
            };
            if !seen.insert(name.as_str()) {
                counts.repeated += 1;
                continue;
            }
            if let Some((key, place)) = place {
                let last = last.entry(key).or_insert(0);
                counts.out_of_order += usize::from(place < last);
                *last = (*last).max(*place);
            }
        }
        counts.missing = places.keys().filter(|name| !seen.contains(**name)).count();
        counts
    }

    /// Returns why the stream is not the one that the outbox promises.
    pub(crate) fn verdict(&self) -> Verdict {
        let Self { committed, missing, out_of_order, unknown, .. } = self;
        if *committed == 0 {
            return Err("no message was committed".to_owned());
        }
        if missing + out_of_order + unknown > 0 {
            return Err(format!(
                "of {committed} messages {missing} are missing, {out_of_order} arrived out of order, and {unknown} \
                 others arrived"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(stream: &[&str]) -> Arrivals {
        let place = |key: &str, place| Some((key.to_owned(), place));
        let committed = [
            Committed { name: "a1".to_owned(), place: place("a", 1) },
            Committed { name: "a2".to_owned(), place: place("a", 2) },
            Committed { name: "a3".to_owned(), place: place("a", 3) },
            Committed { name: "b1".to_owned(), place: place("b", 1) },
            Committed { name: "alone".to_owned(), place: None },
        ];
        let stream: Vec<_> = stream.iter().map(|&name| name.to_owned()).collect();
        Arrivals::new(&committed, &stream)
    }

    #[test]
    fn repetitions_are_counted_and_pass() {
        let good = counts(&["alone", "a1", "b1", "a2", "a1", "a2", "a3", "b1"]);
        let expected =
            Arrivals { committed: 5, keyed: 4, arrived: 8, repeated: 3, ..Arrivals::default() };
        assert_eq!(good, expected);
        assert_eq!(good.verdict(), Ok(()));
    }

    #[test]
    fn a_wrong_stream_fails() {
        let skipped = counts(&["alone", "a1", "a3", "b1", "a2"]);
        assert_eq!((skipped.out_of_order, skipped.missing), (1, 0));
        let lost = counts(&["alone", "a1", "a3", "b1"]);
        assert_eq!((lost.out_of_order, lost.missing), (0, 1));
        let invented = counts(&["alone", "a1", "a2", "a3", "b1", "c1"]);
        assert_eq!(invented.unknown, 1);
        for wrong in [skipped, lost, invented, Arrivals::default()] {
            assert!(wrong.verdict().is_err(), "{wrong:?}");
        }
    }
}
