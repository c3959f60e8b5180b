//! Guesses by name: does a value stand for a database, a broker, a session?

use crate::syntax;
use std::collections::BTreeSet;
use syn::{Expr, Member};

const DATABASES: [&str; 37] = [
    "bucket",
    "collection",
    "con",
    "conn",
    "connection",
    "dao",
    "database",
    "datastore",
    "db",
    "executor",
    "kv",
    "model",
    "mongo",
    "mongodb",
    "mysql",
    "orm",
    "pg",
    "persistence",
    "pool",
    "postgres",
    "redis",
    "repo",
    "repository",
    "repositories",
    "s3",
    "sql",
    "sqlite",
    "storage",
    "store",
    "stores",
    "surreal",
    "table",
    "transaction",
    "trx",
    "tx",
    "txn",
    "uow",
];
const BROKERS: [&str; 21] = [
    "amqp",
    "broker",
    "bus",
    "dispatcher",
    "email",
    "emailer",
    "events",
    "jetstream",
    "jobs",
    "kafka",
    "mail",
    "mailer",
    "nats",
    "producer",
    "publisher",
    "queue",
    "smtp",
    "sns",
    "sqs",
    "transport",
    "webhook",
];
/// Types of the process's own memory.
const MEMORY: [&str; 9] = [
    "HashMap",
    "BTreeMap",
    "HashSet",
    "BTreeSet",
    "Vec",
    "VecDeque",
    "DashMap",
    "Cache",
    "HeaderMap",
];

/// The names in a receiver, `self.state.db()` → `self`, `state`, `db`.
pub(super) fn chain(expr: &Expr) -> Vec<String> {
    let mut names = Vec::new();
    let mut here = expr;
    loop {
        here = match here {
            Expr::Path(path) => {
                names.extend(syntax::names(&path.path).into_iter().rev());
                break;
            }
            Expr::Field(field) => {
                if let Member::Named(name) = &field.member {
                    names.push(syntax::name(name));
                }
                &field.base
            }
            Expr::MethodCall(call) => {
                names.push(syntax::name(&call.method));
                &call.receiver
            }
            Expr::Call(call) => &call.func,
            Expr::Await(outer) => &outer.base,
            Expr::Try(outer) => &outer.expr,
            Expr::Paren(outer) => &outer.expr,
            Expr::Reference(outer) => &outer.expr,
            Expr::Unary(outer) => &outer.expr,
            Expr::Index(outer) => &outer.expr,
            _ => break,
        };
    }
    names.reverse();
    names
}

fn has_word(name: &str, words: &[&str]) -> bool {
    let mut snake = String::new();
    for character in name.chars() {
        if character.is_uppercase() {
            snake.push('_');
        }
        snake.extend(character.to_lowercase());
    }
    snake.split('_').any(|word| {
        words.contains(&word) || word.strip_suffix('s').is_some_and(|one| words.contains(&one))
    })
}

pub(super) fn is_database(names: &[String], types: &BTreeSet<String>) -> bool {
    !is_memory(types) && names.iter().chain(types).any(|name| has_word(name, &DATABASES))
}

pub(super) fn is_memory(types: &BTreeSet<String>) -> bool {
    types.iter().any(|ty| MEMORY.contains(&ty.as_str()))
}

pub(super) fn is_broker(names: &[String], types: &BTreeSet<String>) -> bool {
    names.iter().chain(types).any(|name| has_word(name, &BROKERS))
}

pub(super) fn is_session(names: &[String]) -> bool {
    names.iter().any(|name| has_word(name, &["session", "sessions"]))
}

pub(super) fn is_auth(names: &[String]) -> bool {
    names.iter().any(|name| has_word(name, &["session", "auth", "identity"]))
}

pub(super) fn is_client(names: &[String], types: &BTreeSet<String>) -> bool {
    names
        .iter()
        .chain(types)
        .any(|name| has_word(name, &["client", "http", "reqwest", "proxy", "upstream"]))
}
