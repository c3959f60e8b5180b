//! The effect of a call, by the function that it resolves to, or else by its name and its receiver.

use super::{Kind, facts::Collector, plain, receivers};
use crate::syntax;
use std::collections::BTreeSet;
use syn::{Expr, ExprCall, ExprMethodCall, ExprPath};

/// Methods that write in each library that has them.
const WRITES: [&str; 39] = [
    "basic_publish",
    "bulk_write",
    "commit",
    "delete_item",
    "delete_many",
    "delete_object",
    "delete_one",
    "do_update",
    "exec_with_returning",
    "exec_without_returning",
    "find_one_and_delete",
    "find_one_and_replace",
    "find_one_and_update",
    "hdel",
    "hset",
    "hset_multiple",
    "insert_into",
    "insert_many",
    "insert_one",
    "insert_or_ignore_into",
    "lpush",
    "multipart_put",
    "on_conflict",
    "pset_ex",
    "put_item",
    "put_multipart",
    "put_object",
    "replace_one",
    "rpush",
    "sadd",
    "save_changes",
    "set_ex",
    "set_nx",
    "set_options",
    "update_item",
    "update_many",
    "update_one",
    "xadd",
    "zadd",
];
/// Methods that change a database, or else a map.
const CHANGES: [&str; 15] = [
    "create", "decr", "del", "delete", "expire", "incr", "insert", "persist", "put", "remove",
    "save", "set", "store", "update", "upsert",
];
/// The same, as the first word of a longer name.
const CHANGE_PREFIXES: [&str; 14] = [
    "add_", "create_", "delete_", "enqueue_", "insert_", "mark_", "record_", "remove_", "revoke_",
    "save_", "set_", "store_", "update_", "upsert_",
];
const SENDS: [&str; 8] =
    ["dispatch", "emit", "enqueue", "produce", "publish", "send", "send_message", "trigger"];
/// Methods that are given the database.
const TAKES_DATABASE: [&str; 11] = [
    "delete",
    "delete_all",
    "exec",
    "execute",
    "insert",
    "insert_all",
    "one",
    "all",
    "save",
    "update",
    "upsert",
];
const MUTATIONS: [&str; 9] =
    ["clear", "drain", "extend", "insert", "pop", "push", "remove", "retain", "entry"];

/// Reads `path(..)`.
pub(super) fn function(collector: &mut Collector<'_>, call: &ExprCall) {
    let Expr::Path(path) = &*call.func else {
        collector.unseen(format!("`{}`", syntax::text(&call.func)));
        return;
    };
    if collector.program.value(&collector.scope, path).is_some() {
        // `visit_expr_path` follows it.
        return;
    }
    let names = syntax::names(&path.path);
    let Some(name) = names.last() else { return };
    let owner = names.len().checked_sub(2).map_or("", |index| &names[index]);
    let shown = names.join("::");
    let fs = [
        "copy",
        "create_dir",
        "create_dir_all",
        "hard_link",
        "remove_dir_all",
        "remove_file",
        "rename",
        "write",
    ];
    match (owner, name.as_str()) {
        ("fs", name) if fs.contains(&name) => collector.add(Kind::File, format!("`{shown}`")),
        ("File", "create" | "create_new") | ("OpenOptions", "new") => {
            collector.add(Kind::File, format!("`{shown}`"));
        }
        (_, "insert_into" | "replace_into" | "insert_or_ignore_into")
        | ("diesel", "update" | "delete") => collector.add(Kind::Write, format!("`{shown}`")),
        (_, "update" | "delete") if is_diesel(collector, path) => {
            collector.add(Kind::Write, format!("`diesel::{name}`"));
        }
        ("Body", "from_stream") | ("StreamBody" | "Sse", "new") => {
            collector.add(Kind::Stream, format!("`{shown}`"));
        }
        ("Entity" | "Query", _)
            if ["insert", "update", "delete"].iter().any(|verb| name.starts_with(verb)) =>
        {
            collector.add(Kind::Write, format!("`{shown}`"));
        }
        ("Entity", _) if name.starts_with("find") => {
            collector.add(Kind::Read, format!("`{shown}`"));
        }
        _ if plain::is_function(owner, name) => {}
        _ => collector.unseen(format!("`{shown}`")),
    }
}

fn is_diesel(collector: &Collector<'_>, path: &ExprPath) -> bool {
    let Some(name) = path.path.get_ident().map(syntax::name) else { return false };
    collector
        .program
        .imported(&collector.scope, &name)
        .is_some_and(|path| path.first().is_some_and(|first| first == "diesel"))
}

/// Reads `receiver.method(..)`, where `names` are the names of the receiver.
pub(super) fn method(collector: &mut Collector<'_>, call: &ExprMethodCall, names: &[String]) {
    let name = syntax::name(&call.method);
    let types = collector.program.types_of(&collector.scope, &collector.variables, &call.receiver);
    let candidates = collector.program.methods_by_name(&types, &name);
    let is_known = collector
        .program
        .methods_of(&types, &name)
        .iter()
        .any(|id| collector.program.functions[*id].block.is_some());
    let has_candidates = !candidates.is_empty();
    collector.body.calls.extend(candidates);
    if is_known {
        return;
    }
    let shown = match names.last() {
        Some(last) => format!("`{last}.{name}`"),
        None => format!("`.{name}`"),
    };
    let takes_database = TAKES_DATABASE.contains(&name.as_str())
        && call.args.iter().any(|arg| is_given(collector, arg));
    let name = name.as_str();
    if let Some(kind) = session(name, names).or_else(|| outbound(call, names)) {
        collector.add(kind, shown);
    } else if WRITES.contains(&name) {
        let kind = if name == "on_conflict" { Kind::Upsert } else { Kind::Write };
        collector.add(kind, shown);
    } else if SENDS.contains(&name) && receivers::is_broker(names, &types) {
        collector.add(Kind::Publish, shown);
    } else if name == "on_upgrade" {
        collector.add(Kind::Stream, shown);
    } else if receivers::is_database(names, &types) || takes_database {
        database(collector, call, name, &shown);
    } else if is_memory(call, name, names, &types) {
        collector.add(Kind::Memory, shown);
    } else if !has_candidates && !plain::is_method(name) {
        collector.unseen(shown);
    }
}

fn is_memory(
    call: &ExprMethodCall,
    name: &str,
    names: &[String],
    types: &BTreeSet<String>,
) -> bool {
    let is_state = receivers::is_memory(types) && names.iter().any(|name| name == "state");
    name == "write" && call.args.is_empty()
        || MUTATIONS.contains(&name) && (is_locked(names) || is_state)
}

/// Returns whether an argument is a database itself, and not a value that was read from one.
fn is_given(collector: &Collector<'_>, arg: &Expr) -> bool {
    match arg {
        Expr::Reference(inner) => is_given(collector, &inner.expr),
        Expr::Unary(inner) => is_given(collector, &inner.expr),
        Expr::Paren(inner) => is_given(collector, &inner.expr),
        Expr::Path(_) | Expr::Field(_) => {
            let types = collector.program.types_of(&collector.scope, &collector.variables, arg);
            receivers::is_database(&receivers::chain(arg), &types)
        }
        Expr::MethodCall(call) => call.args.is_empty() && is_given(collector, &call.receiver),
        _ => false,
    }
}

fn is_locked(names: &[String]) -> bool {
    names.iter().any(|name| name == "lock" || name == "write" || name == "borrow_mut")
}

fn session(name: &str, names: &[String]) -> Option<Kind> {
    let changes = [
        "insert",
        "remove",
        "remove_value",
        "flush",
        "cycle_id",
        "clear",
        "delete",
        "save",
        "renew",
        "destroy",
        "purge",
    ];
    let is_change = changes.contains(&name) && receivers::is_session(names)
        || ["login", "logout"].contains(&name) && receivers::is_auth(names);
    is_change.then_some(Kind::Session)
}

/// Reads the end of `client.post(url)…send()`.
fn outbound(call: &ExprMethodCall, names: &[String]) -> Option<Kind> {
    let name = syntax::name(&call.method);
    let types = BTreeSet::new();
    if ["request", "execute"].contains(&name.as_str()) && receivers::is_client(names, &types) {
        return Some(Kind::Forward);
    }
    if name != "send" || !call.args.is_empty() {
        return None;
    }
    let has = |verbs: &[&str]| names.iter().any(|name| verbs.contains(&name.as_str()));
    if has(&["post", "put", "delete", "patch"]) {
        Some(Kind::Outbound)
    } else if has(&["get", "head"]) {
        Some(Kind::Read)
    } else {
        has(&["request"]).then_some(Kind::Forward)
    }
}

/// Reads a method of a database, or one that is given a database.
fn database(collector: &mut Collector<'_>, call: &ExprMethodCall, name: &str, shown: &str) {
    let prefixed = CHANGE_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    if CHANGES.contains(&name) || prefixed || name == "exec" {
        collector.add(Kind::Write, shown);
    } else if name == "execute" {
        // The statement decides, if its text is here.
        let mut inner = Collector::like(collector);
        syn::visit::Visit::visit_expr(&mut inner, &call.receiver);
        for arg in &call.args {
            syn::visit::Visit::visit_expr(&mut inner, arg);
        }
        let is_known =
            inner.body.facts.iter().any(|fact| fact.kind == Kind::Read || fact.kind.is_write());
        if !is_known {
            collector.add(Kind::Write, shown);
        }
    } else if name.starts_with("fetch")
        || ["find", "one", "all", "query", "load", "get_result", "first"].contains(&name)
    {
        collector.add(Kind::Read, shown);
    } else if !plain::is_method(name) {
        collector.unseen(shown);
    }
}
