//! The decision: the method decides, and the body corrects.

use crate::{
    evidence::{Evidence, Kind},
    program::Program,
};
use std::fmt::{self, Write};

/// A policy that the command suggests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Policy {
    Read,
    Stream,
    IdempotentWrite,
    DurableWrite,
}

impl Policy {
    /// Returns the attribute, without the path of the crate.
    pub(crate) fn attribute(self) -> &'static str {
        match self {
            Self::Read => "cancellable(read)",
            Self::Stream => "cancellable(stream)",
            Self::IdempotentWrite => "cancellable(idempotent_write)",
            Self::DurableWrite => "durable_write",
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Stream => "stream",
            Self::IdempotentWrite => "idempotent_write",
            Self::DurableWrite => "durable_write",
        })
    }
}

/// How certain a suggestion is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Confidence {
    Low,
    Medium,
    High,
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        })
    }
}

/// A suggestion with its reason.
#[derive(Clone, Debug)]
pub(crate) struct Suggestion {
    pub(crate) policy: Policy,
    pub(crate) confidence: Confidence,
    pub(crate) reason: String,
    pub(crate) write_behind_get: bool,
}

/// The inputs of the decision.
pub(crate) struct Facts<'a> {
    pub(crate) methods: &'a [String],
    /// The function's own name, empty for a closure.
    pub(crate) name: &'a str,
    pub(crate) evidence: &'a [Evidence],
    /// The type in the signature that continues after the head, such as `Sse`.
    pub(crate) streams: Option<String>,
    /// The parameter whose body is still arriving, such as `Multipart`.
    pub(crate) arriving: Option<String>,
}

/// First words of functions that only look.
const LOOKS: [&str; 26] = [
    "autocomplete",
    "calculate",
    "check",
    "compare",
    "count",
    "diff",
    "echo",
    "estimate",
    "exists",
    "explain",
    "export",
    "fetch",
    "find",
    "get",
    "has",
    "is",
    "list",
    "lookup",
    "preview",
    "query",
    "read",
    "render",
    "search",
    "show",
    "suggest",
    "validate",
];
/// Words that say otherwise.
const CHANGES: [&str; 47] = [
    "add",
    "and",
    "apply",
    "assign",
    "cancel",
    "clear",
    "close",
    "commit",
    "confirm",
    "consume",
    "create",
    "decrement",
    "delete",
    "drop",
    "in",
    "increment",
    "insert",
    "mark",
    "modify",
    "move",
    "notify",
    "or",
    "out",
    "pay",
    "pop",
    "publish",
    "purge",
    "push",
    "put",
    "refresh",
    "register",
    "remove",
    "rename",
    "replace",
    "reset",
    "revoke",
    "rotate",
    "save",
    "send",
    "set",
    "store",
    "submit",
    "sync",
    "take",
    "update",
    "upsert",
    "write",
];

fn only_looks(name: &str) -> bool {
    let mut words = name.split('_').filter(|word| !word.is_empty());
    words.next().is_some_and(|first| LOOKS.contains(&first))
        && !words.any(|word| CHANGES.contains(&word))
}

const SAFE: [&str; 4] = ["GET", "HEAD", "OPTIONS", "TRACE"];
/// A method of the client's choice.
const ANY: [&str; 3] = ["ANY", "CONNECT", "?"];

/// Suggests a policy.
pub(crate) fn suggest(program: &Program<'_>, facts: &Facts<'_>) -> Suggestion {
    let has =
        |methods: &[&str]| facts.methods.iter().any(|method| methods.contains(&method.as_str()));
    let case = Case { program, facts, is_safe: has(&SAFE), is_any: has(&ANY) };
    let mut suggestion = case.policy();
    let spawned = case.first(|kind| matches!(kind, Kind::Spawn | Kind::DiscardedSpawn));
    if spawned.is_some() && !suggestion.reason.contains("spawns a task") {
        suggestion.reason.push_str("; spawns a task");
    }
    if let Some(arriving) = &facts.arriving {
        let _ = write!(suggestion.reason, "; the body is still arriving (`{arriving}`)");
    }
    suggestion
}

/// A handler, and the methods that lead to it.
struct Case<'a> {
    program: &'a Program<'a>,
    facts: &'a Facts<'a>,
    is_safe: bool,
    is_any: bool,
}

impl Case<'_> {
    fn first(&self, matches: impl Fn(Kind) -> bool) -> Option<&Evidence> {
        self.facts.evidence.iter().find(|found| matches(found.fact.kind))
    }

    fn make(&self, policy: Policy, confidence: Confidence, why: &str) -> Suggestion {
        let reason = format!("{}; {why}", self.facts.methods.join(", "));
        Suggestion { policy, confidence, reason, write_behind_get: false }
    }

    fn because(&self, found: &Evidence) -> String {
        shown(self.program, found)
    }

    fn policy(&self) -> Suggestion {
        let is_write =
            |found: &&Evidence| found.fact.kind.is_write() && (!self.is_safe || is_near(found));
        let write = self.facts.evidence.iter().find(is_write);
        if let Some(stream) = &self.facts.streams {
            return self.of_stream(stream, write);
        }
        match write {
            Some(write) => self.of_write(write),
            None if self.is_safe || self.is_any => self.without_write(),
            None => self.by_method(),
        }
    }

    /// A stream that writes is cut with its client, and so is the write.
    fn of_stream(&self, stream: &str, write: Option<&Evidence>) -> Suggestion {
        let why = format!("`{stream}` continues after the response's head");
        let Some(write) = write else { return self.make(Policy::Stream, Confidence::High, &why) };
        let why = format!("{why}; {}", self.because(write));
        Suggestion {
            write_behind_get: self.is_safe,
            ..self.make(Policy::Stream, Confidence::Low, &why)
        }
    }

    fn of_write(&self, write: &Evidence) -> Suggestion {
        let is_upsert = self.facts.methods == ["PUT"]
            && self
                .facts
                .evidence
                .iter()
                .all(|found| !found.fact.kind.is_write() || found.fact.kind == Kind::Upsert);
        let policy = if is_upsert { Policy::IdempotentWrite } else { Policy::DurableWrite };
        let confidence = certainty(write, self.is_safe || self.is_any || is_upsert);
        Suggestion {
            write_behind_get: self.is_safe,
            ..self.make(policy, confidence, &self.because(write))
        }
    }

    /// Behind POST, PUT, PATCH or DELETE, where no write was found.
    fn by_method(&self) -> Suggestion {
        let may_write =
            self.first(|kind| matches!(kind, Kind::Memory | Kind::Forward | Kind::Spawn));
        match may_write {
            Some(found) => {
                self.make(Policy::DurableWrite, Confidence::Medium, &self.because(found))
            }
            None if only_looks(self.facts.name) => self.by_name(),
            None => self.make(
                Policy::DurableWrite,
                Confidence::Medium,
                "no write was found, so the method decides",
            ),
        }
    }

    /// The name only looks. A call that was not read may still write, unless a query shows what the handler is for.
    fn by_name(&self) -> Suggestion {
        let unseen = self.first(|kind| kind == Kind::Unseen);
        match unseen.filter(|_| self.first(|kind| kind == Kind::Read).is_none()) {
            Some(unseen) => {
                let why = format!("the name only looks, but {}", self.because(unseen));
                self.make(Policy::DurableWrite, Confidence::Low, &why)
            }
            None => self.make(
                Policy::Read,
                Confidence::Medium,
                "the name only looks, and no write was found",
            ),
        }
    }

    /// Behind GET, `any` or a fallback, where no write was found near by.
    fn without_write(&self) -> Suggestion {
        let forward = self.first(|kind| matches!(kind, Kind::Forward | Kind::Memory));
        if let Some(found) = forward.filter(|_| !self.is_safe) {
            return self.make(Policy::DurableWrite, Confidence::Low, &self.because(found));
        }
        let is_mixed = self.facts.methods.iter().any(|method| !SAFE.contains(&method.as_str()));
        let spawns = self.first(|kind| matches!(kind, Kind::Spawn | Kind::DiscardedSpawn));
        if self.is_safe && is_mixed && (spawns.is_some() || self.facts.arriving.is_some()) {
            let why = "no write was found, and not all of it was read";
            return self.make(Policy::DurableWrite, Confidence::Low, why);
        }
        // A stream in a function that is called may be read there, too.
        let stream = self.first(|kind| kind == Kind::Stream).filter(|found| found.calls <= 2);
        if let Some(found) = stream {
            return self.make(Policy::Stream, Confidence::Medium, &self.because(found));
        }
        if let Some(far) = self.first(Kind::is_write) {
            let why = format!("{} is too far away to be its purpose", self.because(far));
            return self.make(Policy::Read, Confidence::Low, &why);
        }
        let confidence = if is_mixed { Confidence::Low } else { Confidence::High };
        match self.first(|kind| kind == Kind::Read) {
            Some(found) => self.make(Policy::Read, confidence, &self.because(found)),
            None => self.make(Policy::Read, confidence, "no write was found"),
        }
    }
}

/// Far away are the caches, the counters and the last use of a token. A write that a GET is for is near.
fn is_near(write: &Evidence) -> bool {
    let calls = match write.fact.kind {
        Kind::Session => 1,
        Kind::File => 2,
        _ if write.fact.what.contains('.') => 2,
        _ => 3,
    };
    write.calls <= calls
}

/// A write behind a method that should only read needs more than a far-away name.
fn certainty(write: &Evidence, unexpected: bool) -> Confidence {
    let is_statement = !write.fact.what.contains('.');
    match (unexpected, is_statement, write.calls) {
        (false, ..) | (true, true, 0..=2) => Confidence::High,
        (true, false, 3..) => Confidence::Low,
        _ => Confidence::Medium,
    }
}

/// Returns "`INSERT` in `Db::insert`, two calls away".
fn shown(program: &Program<'_>, found: &Evidence) -> String {
    let what = match found.fact.kind {
        Kind::Spawn | Kind::DiscardedSpawn => "spawns a task".to_owned(),
        Kind::Stream => format!("{} continues after the response's head", found.fact.what),
        Kind::Memory => format!("{} changes shared memory", found.fact.what),
        Kind::Unseen => format!("{} was not read", found.fact.what),
        Kind::Forward => format!("{} forwards the request's method", found.fact.what),
        _ => found.fact.what.clone(),
    };
    let Some(function) = found.function else { return what };
    let away = match found.calls {
        1 => "one call".to_owned(),
        2 => "two calls".to_owned(),
        3 => "three calls".to_owned(),
        4 => "four calls".to_owned(),
        calls => format!("{calls} calls"),
    };
    format!("{what} in `{}`, {away} away", program.display(function))
}
