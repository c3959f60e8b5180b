//! The page of the logs lists each event of the runtime with its levels and fields, and no other
//! event.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};

use crate::{page, read, root, rust_files};

const LEVELS: [&str; 5] = ["trace", "debug", "info", "warn", "error"];

/// Levels and fields of an event.
#[derive(Debug, Default, PartialEq, Eq)]
struct Event {
    levels: BTreeSet<String>,
    fields: BTreeSet<String>,
}

/// Events by their messages, in which `…` stands for a value.
type Events = BTreeMap<String, Event>;

/// Replaces each placeholder of a format string by an ellipsis.
fn without_values(format: &str) -> String {
    let mut message = String::new();
    let mut depth = 0;
    for next in format.chars() {
        match next {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0 && !message.ends_with('…') {
                    message.push('…');
                }
            }
            _ if depth == 0 => message.push(next),
            _ => {}
        }
    }
    message
}

fn arguments(tokens: TokenStream) -> Vec<Vec<TokenTree>> {
    let mut arguments = vec![Vec::new()];
    for token in tokens {
        match &token {
            TokenTree::Punct(punct) if punct.as_char() == ',' => arguments.push(Vec::new()),
            _ => arguments.last_mut().expect("there is one").push(token),
        }
    }
    arguments.retain(|argument| !argument.is_empty());
    arguments
}

/// Returns the text of an argument that is one string literal.
fn literal(argument: &[TokenTree]) -> Option<String> {
    let [TokenTree::Literal(literal)] = argument else { return None };
    syn::parse_str::<syn::LitStr>(&literal.to_string()).ok().map(|text| text.value())
}

/// Returns the name of the field in `name = value`, `?name` and `name`.
fn field(argument: &[TokenTree]) -> Option<String> {
    let names: Vec<String> = argument
        .iter()
        .take_while(|token| !matches!(token, TokenTree::Punct(punct) if punct.as_char() == '='))
        .filter_map(|token| match token {
            TokenTree::Ident(name) => Some(name.to_string()),
            _ => None,
        })
        .collect();
    names.first().filter(|name| *name != "target").cloned()
}

/// Calls `found` with the level and the arguments of each macro of `tracing` that emits an event.
fn events(tokens: TokenStream, found: &mut impl FnMut(String, Vec<Vec<TokenTree>>)) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let text = |at: usize| tokens.get(at).map(ToString::to_string).unwrap_or_default();
    for (at, token) in tokens.iter().enumerate() {
        if let TokenTree::Group(group) = token {
            events(group.stream(), found);
        }
        if text(at) != "tracing" || text(at + 1) != ":" || text(at + 2) != ":" {
            continue;
        }
        // `$level` stands for the level in the macro that contains this call.
        let (level, call) =
            if text(at + 3) == "$" { ("$".to_owned(), at + 5) } else { (text(at + 3), at + 4) };
        let is_level = level == "$" || level == "event" || LEVELS.contains(&&*level);
        if let (true, "!", Some(TokenTree::Group(group))) =
            (is_level, &*text(call), tokens.get(call + 1))
        {
            found(level, arguments(group.stream()));
        }
    }
}

/// Calls `found` with the last argument of each call, if that is a string literal, and with the level that is the only
/// argument of a call.
fn last_arguments(tokens: TokenStream, found: &mut impl FnMut(String)) {
    for token in tokens {
        let TokenTree::Group(group) = token else { continue };
        last_arguments(group.stream(), found);
        let arguments = arguments(group.stream());
        match arguments.last().map(Vec::as_slice) {
            Some([TokenTree::Ident(level)])
                if arguments.len() == 1 && LEVELS.contains(&&*level.to_string()) =>
            {
                found(level.to_string());
            }
            Some(argument) => literal(argument).into_iter().for_each(&mut *found),
            None => {}
        }
    }
}

/// Adds the events of a file.
fn collect(file: &str, source: &str, all: &mut Events) {
    let tokens: TokenStream = source.parse().unwrap_or_else(|error| panic!("{file}: {error}"));
    let mut last = Vec::new();
    last_arguments(tokens.clone(), &mut |text| last.push(text));
    let (levels, texts): (Vec<_>, Vec<_>) =
        last.into_iter().partition(|text| LEVELS.contains(&&**text));
    events(tokens, &mut |level, arguments| {
        let message_at = arguments.iter().position(|argument| literal(argument).is_some());
        let message_at =
            message_at.unwrap_or_else(|| panic!("{file}: an event without a message at `{level}`"));
        let text = without_values(&literal(&arguments[message_at]).expect("it was one"));
        // A message that is only a value comes from the callers of the surrounding function.
        let messages = if text == "…" {
            texts.iter().filter(|text| !text.contains('{')).cloned().collect()
        } else {
            vec![text]
        };
        assert!(!messages.is_empty(), "{file}: no caller says what an event of it is");
        for message in messages {
            let event = all.entry(message).or_default();
            event.levels.extend(if level == "$" { levels.clone() } else { vec![level.clone()] });
            // Arguments behind the message fill its placeholders.
            let fields = arguments[..message_at].iter();
            event.fields.extend(fields.filter_map(|argument| field(argument)));
        }
    });
}

/// Returns whether a macro of `tracing` is imported under its short name.
fn imports_a_level(source: &str) -> bool {
    source.split("use tracing::").skip(1).any(|import| {
        let import = import.split(';').next().unwrap_or_default();
        import
            .split(|end: char| !end.is_alphanumeric() && end != '_')
            .any(|name| name == "event" || LEVELS.contains(&name))
    })
}

/// Returns the events in the tables of the page.
fn on_the_page(page: &str) -> Events {
    let mut all = Events::new();
    for line in page.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let ["", levels, message, fields, when, then, ""] = cells[..] else { continue };
        let levels: BTreeSet<String> = levels.split(", ").map(str::to_lowercase).collect();
        if !levels.iter().all(|level| LEVELS.contains(&&**level)) {
            continue; // the head of a table
        }
        assert!(!when.is_empty() && !then.is_empty(), "`{message}`: when, and what to do?");
        let fields = fields.split(", ").filter(|field| !field.is_empty());
        let fields = fields.map(|field| field.trim_matches('`').to_owned()).collect();
        let twice = all.insert(message.to_owned(), Event { levels, fields });
        assert!(twice.is_none(), "`{message}` is on the page twice");
    }
    all
}

#[test]
fn each_event_is_on_the_page_and_the_page_has_no_other() {
    let (mut said, mut places) = (Events::new(), BTreeMap::new());
    for folder in ["runtime/src", "integrations"] {
        for file in rust_files(&root().join(folder)) {
            let name = file.strip_prefix(root()).unwrap().display().to_string();
            let source = read(&file);
            assert!(
                !imports_a_level(&source),
                "{name}: write `tracing::info!(..)`, which this test sees"
            );
            let mut here = Events::new();
            collect(&name, &source, &mut here);
            for (message, event) in here {
                places.entry(message.clone()).or_insert_with(|| name.clone());
                let all = said.entry(message).or_default();
                all.levels.extend(event.levels);
                all.fields.extend(event.fields);
            }
        }
    }
    let shown = on_the_page(&page("logs.md"));
    for (message, event) in &said {
        let place = &places[message];
        let on_the_page = shown.get(message).unwrap_or_else(|| {
            panic!("`{message}` of {place} is not in `runtime/guide/logs.md`: add it, {event:?}")
        });
        assert_eq!(on_the_page, event, "levels and fields of `{message}`, of {place}");
    }
    for message in shown.keys() {
        let is_said = said.contains_key(message);
        assert!(
            is_said,
            "`{message}` is in `runtime/guide/logs.md`, and no code emits it: remove it"
        );
    }
}

#[test]
fn an_event_is_read_with_its_level_its_fields_and_its_message() {
    let source = r#"
        fn f() {
            tracing::warn!(target: "t", peer = %x.peer(), ?error, count, "it {what:?} and \
                {}{} ended", 1, 2);
        }
        macro_rules! event { ($level:ident) => { tracing::$level!(status, "{what}") } }
        fn g() { event!(info); log(1, "stopped"); }
    "#;
    assert!(
        imports_a_level("use tracing::{Span, info};") && !imports_a_level("use tracing::Span;")
    );
    let mut all = Events::new();
    collect("f.rs", source, &mut all);
    let event = |levels: &[&str], fields: &[&str]| Event {
        levels: levels.iter().map(ToString::to_string).collect(),
        fields: fields.iter().map(ToString::to_string).collect(),
    };
    assert_eq!(all["it … and … ended"], event(&["warn"], &["peer", "error", "count"]));
    assert_eq!(all["stopped"], event(&["info"], &["status"]));
    assert_eq!(all.len(), 2);
}
