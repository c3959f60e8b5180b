//! Resolves overrides against the handlers of the program, when a lifecycle is built.

use std::{collections::HashMap, time::Duration};

use super::{LONGEST, Override, Overrides, OverridesError, SHORTEST, key::Key, listed};
use crate::handler_policy::{HandlerPolicy, Mode};

impl Overrides {
    /// Returns the deadlines that these overrides set for `handlers`, or all of their faults.
    pub(crate) fn resolve(
        self,
        handlers: &[&'static HandlerPolicy],
    ) -> Result<Deadlines, OverridesError> {
        let mut deadlines = HashMap::new();
        let mut by_handler = HashMap::new();
        let mut default = None;
        let mut faults = Vec::new();
        for Override { key, deadline } in self.0 {
            let named = |policy: &&&HandlerPolicy| {
                policy.named_deadline().is_some_and(|name| key.matches(name))
            };
            let mut meant: Vec<_> = handlers.iter().filter(|policy| key.is_of(policy)).collect();
            // Handlers may share a name, and an exempt handler has no deadline to override.
            if meant.iter().any(|policy| policy.mode() != Mode::Exempt) {
                meant.retain(|policy| policy.mode() != Mode::Exempt);
            }
            let sharing: Vec<_> = handlers.iter().filter(named).collect();
            if meant.is_empty() && sharing.is_empty() {
                if key.is_default() {
                    default = Some((deadline, key.to_string()));
                } else {
                    faults.push(unknown(&key, handlers));
                }
            }
            if !(SHORTEST..=LONGEST).contains(&deadline) {
                faults.push(format!("{key}: a deadline must be between `1ms` and `24h`"));
            }
            faults.extend(meant.first().and_then(|first| unfit(&key, first, &meant)));
            let entry = || (deadline, key.to_string());
            by_handler.extend(meant.iter().map(|policy| (id(policy), entry())));
            deadlines.extend(sharing.iter().map(|policy| (id(policy), entry())));
        }
        // The name of a handler wins over the name of its deadline.
        deadlines.extend(by_handler);
        let nowhere = handlers.iter().filter(|policy| !deadlines.contains_key(&id(policy)));
        faults.extend(nowhere.filter_map(|policy| unsaid(policy)));
        if faults.is_empty() {
            Ok(Deadlines { default, handlers: deadlines })
        } else {
            Err(OverridesError(listed(faults)))
        }
    }
}

fn unknown(key: &Key, handlers: &[&'static HandlerPolicy]) -> String {
    let deadlines = handlers.iter().filter_map(|policy| policy.named_deadline());
    let handlers = handlers.iter().map(|policy| policy.name());
    let what = if matches!(key, Key::Code(_)) {
        "no handler has this deadline"
    } else {
        "no handler has this name"
    };
    let near = handlers
        .filter(|_| !matches!(key, Key::Code(_)))
        .chain(deadlines)
        .chain((!matches!(key, Key::Code(_))).then_some("default"))
        .map(|name| key.spell(name))
        .map(|name| (distance(&name, key.name()), name))
        .min()
        .filter(|(distance, name)| *distance <= name.len().div_ceil(3));
    match near {
        Some((_, name)) => format!("{key}: {what}; did you mean `{name}`?"),
        None => format!("{key}: {what}; `followthrough::policies()` lists them"),
    }
}

/// Returns the edit distance of `found` to `name`; zero if `found` is its last part, as `show` of `orders::show`.
fn distance(name: &str, found: &str) -> usize {
    let (name, found) = (name.to_uppercase(), found.to_uppercase());
    let is_end = name.strip_suffix(&*found).is_some_and(|rest| rest.ends_with(['_', ':']));
    if is_end { 0 } else { strsim::osa_distance(&name, &found) }
}

fn unfit(
    key: &Key,
    first: &'static HandlerPolicy,
    meant: &[&&'static HandlerPolicy],
) -> Option<String> {
    if let Some(other) = meant.iter().find(|policy| policy.name() != first.name()) {
        let (one, other) = (first.name(), other.name());
        return Some(format!(
            "{key}: `{one}` and `{other}` have the same name here: set it in TOML"
        ));
    }
    let exempt = meant.iter().find(|policy| policy.mode() == Mode::Exempt)?;
    Some(format!("{key}: `{}` is exempt and has no deadline: remove it", exempt.name()))
}

/// Returns the fault of a handler whose named deadline has no value.
fn unsaid(policy: &HandlerPolicy) -> Option<String> {
    let (handler, name) = (policy.name(), policy.named_deadline()?);
    Some(format!(
        "`{handler}` has the deadline `{name}`, which has no value: set it with \
         `.named_deadline(\"{name}\", ..)`, in TOML or in the environment"
    ))
}

/// Returns the address of a policy as its key, because handlers may share a name.
fn id(policy: &'static HandlerPolicy) -> usize {
    std::ptr::from_ref(policy).addr()
}

/// The deadlines that override those of the code, and the keys that set them.
#[derive(Debug)]
pub(crate) struct Deadlines {
    /// The default deadline of the service.
    pub(crate) default: Option<(Duration, String)>,
    handlers: HashMap<usize, (Duration, String)>,
}

impl Deadlines {
    /// Returns whether no handler has an override.
    pub(crate) fn is_empty(&self) -> bool {
        self.handlers.is_empty()
    }

    // Few services override deadlines, and every request asks.
    #[inline(never)]
    pub(crate) fn of(&self, policy: &'static HandlerPolicy) -> Option<(Duration, &str)> {
        self.handlers.get(&id(policy)).map(|(deadline, by)| (*deadline, &**by))
    }
}
