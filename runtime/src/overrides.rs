//! Deadlines that whoever runs the service changes, by the names of its handlers.

use std::{collections::HashMap, env, ffi::OsString, fmt, time::Duration};

use crate::policy::{HandlerPolicy, Mode};

/// The bounds of a deadline, wherever it is written.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Deadlines by the name of the handler, read at start-up: what an operator changes without a new
/// build. [`LifecycleBuilder::overrides`](crate::LifecycleBuilder::overrides) puts them in force, in
/// place of what the attribute says, and refuses a name that no handler has.
/// [`Lifecycle::policies`](crate::Lifecycle::policies) shows what is in force, and why.
///
/// The name is that of the [catalogue](crate::policies): `module::function`, or the `name = "…"` of
/// the attribute. It may also be that of a deadline, which handlers share: `#[deadline = "checkout"]`.
/// Every such name has to be explained, here or by
/// [`LifecycleBuilder::named_deadline`](crate::LifecycleBuilder::named_deadline). The value is a whole number with a unit, `ms`, `s`, `m` or `h`, from `1ms` to `24h`.
/// Closures are not in the catalogue, and cannot be named here.
///
/// # Examples
///
/// ```standalone_crate
/// use followthrough::{Lifecycle, Overrides, cancellable};
///
/// #[cancellable(read, deadline = "5s", name = "orders::show")]
/// async fn show() {}
///
/// let overrides = Overrides::from_toml("[deadline]\n\"orders::show\" = \"750ms\"")?;
/// let lifecycle = Lifecycle::builder()
///     .overrides(overrides)
///     .overrides(Overrides::from_env("ORDERS")?) // ORDERS_DEADLINE_ORDERS__SHOW=250ms
///     .build()?;
/// assert!(lifecycle.policies().to_string().contains("750 ms by `orders::show` in TOML, not 5 s"));
///
/// let misspelt = Overrides::from_toml("[deadline]\n\"orders::shw\" = \"750ms\"")?;
/// let refused = Lifecycle::builder().overrides(misspelt).build().unwrap_err();
/// assert!(refused.to_string().contains("did you mean `orders::show`?"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "it changes nothing until a lifecycle is built with it"]
pub struct Overrides(Vec<Override>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Override {
    key: Key,
    deadline: Duration,
}

/// Who said so.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Key {
    /// A whole environment variable, and the part of it that stands for the name.
    Env { variable: String, name: String },
    /// The name itself.
    #[cfg_attr(not(feature = "toml"), expect(dead_code, reason = "made by `from_toml`"))]
    Toml(String),
    /// The name of a deadline.
    Code(String),
}

impl Key {
    fn is_of(&self, policy: &HandlerPolicy) -> bool {
        !matches!(self, Self::Code(_)) && self.matches(policy.name())
    }

    fn matches(&self, meant: &str) -> bool {
        match self {
            Self::Env { name, .. } => *name == env_name(meant),
            Self::Toml(name) | Self::Code(name) => name == meant,
        }
    }

    /// How the name of a handler is written where this key is.
    fn spell(&self, name: &str) -> String {
        match self {
            Self::Env { .. } => env_name(name),
            Self::Toml(_) | Self::Code(_) => name.to_owned(),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Env { name, .. } | Self::Toml(name) | Self::Code(name) => name,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env { variable, .. } => f.write_str(variable),
            Self::Toml(name) => write!(f, "`{name}` in TOML"),
            Self::Code(name) => write!(f, "`{name}` in the code"),
        }
    }
}

/// `orders::place` as an environment variable can say it: `ORDERS__PLACE`.
fn env_name(name: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() { c } else { '_' };
    name.chars().map(plain).flat_map(char::to_uppercase).collect()
}

impl Overrides {
    /// Reads the variables `{prefix}_DEADLINE_{NAME}`, with the handler's name in capitals and `_` for
    /// each character that is neither a letter nor a digit: `ORDERS_DEADLINE_ORDERS__PLACE=3s` for `orders::place`.
    ///
    /// Others that begin with the prefix are not ours: Kubernetes sets some for every service.
    ///
    /// # Errors
    ///
    /// An empty prefix, a value that is no duration, and a name of a handler behind a misspelt
    /// `DEADLINE`.
    pub fn from_env(prefix: &str) -> Result<Self, OverridesError> {
        Self::from_vars(prefix, env::vars_os(), &crate::catalogue::declared())
    }

    fn from_vars(
        prefix: &str,
        vars: impl IntoIterator<Item = (OsString, OsString)>,
        handlers: &[&'static HandlerPolicy],
    ) -> Result<Self, OverridesError> {
        let prefix = prefix.strip_suffix('_').unwrap_or(prefix);
        if prefix.is_empty() {
            let fault =
                "overrides in the environment need a prefix, as in `Overrides::from_env(\"SHOP\")`";
            return Err(OverridesError(fault.to_owned()));
        }
        let mut overrides = Vec::new();
        let mut faults = Vec::new();
        for (variable, value) in vars {
            let Some(variable) = variable.to_str() else { continue };
            let Some(rest) = variable.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_'))
            else {
                continue;
            };
            let (what, name) = rest.split_once('_').unwrap_or((rest, ""));
            if what != "DEADLINE" {
                let is_known = || handlers.iter().any(|policy| env_name(policy.name()) == name);
                if strsim::osa_distance(what, "DEADLINE") <= 2 && is_known() {
                    faults.push(format!("{variable}: did you mean `{prefix}_DEADLINE_{name}`?"));
                }
                continue;
            }
            match duration(&value.to_string_lossy()) {
                Ok(deadline) => {
                    let key = Key::Env { variable: variable.to_owned(), name: name.to_owned() };
                    overrides.push(Override { key, deadline });
                }
                Err(fault) => faults.push(format!("{variable}: {fault}")),
            }
        }
        if faults.is_empty() { Ok(Self(overrides)) } else { Err(OverridesError(listed(faults))) }
    }

    /// Reads the table `[deadline]` of a TOML text, with the handlers' names as keys and durations as
    /// strings.
    ///
    /// # Errors
    ///
    /// A text that is no TOML, anything beside that table, and a value that is no duration.
    #[cfg(feature = "toml")]
    pub fn from_toml(text: &str) -> Result<Self, OverridesError> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            #[serde(default)]
            deadline: std::collections::BTreeMap<String, String>,
        }
        let file: File = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |at| 1 + text[..at.start].matches('\n').count());
            let fix = "below `[deadline]`, write `\"orders::show\" = \"750ms\"`";
            OverridesError(format!("line {line}: {}: {fix}", error.message()))
        })?;
        let mut overrides = Vec::new();
        let mut faults = Vec::new();
        for (name, value) in file.deadline {
            let key = Key::Toml(name);
            match duration(&value) {
                Ok(deadline) => overrides.push(Override { key, deadline }),
                Err(fault) => faults.push(format!("{key}: {fault}")),
            }
        }
        if faults.is_empty() { Ok(Self(overrides)) } else { Err(OverridesError(listed(faults))) }
    }

    /// Adds `later`, which wins where both name one handler.
    pub(crate) fn extend(&mut self, later: Self) {
        self.0.extend(later.0);
    }

    /// Adds a deadline that the code itself names.
    pub(crate) fn named(&mut self, name: &str, deadline: Duration) {
        self.0.push(Override { key: Key::Code(name.to_owned()), deadline });
    }

    /// What this comes to for the handlers of the program.
    pub(crate) fn resolve(
        self,
        handlers: &[&'static HandlerPolicy],
    ) -> Result<Deadlines, OverridesError> {
        let mut deadlines = HashMap::new();
        let mut by_handler = HashMap::new();
        let mut faults = Vec::new();
        for Override { key, deadline } in self.0 {
            let named = |policy: &&&HandlerPolicy| {
                policy.named_deadline().is_some_and(|name| key.matches(name))
            };
            let mut meant: Vec<_> = handlers.iter().filter(|policy| key.is_of(policy)).collect();
            // A name may be shared, and an exempt handler has nothing to override.
            if meant.iter().any(|policy| policy.mode() != Mode::Exempt) {
                meant.retain(|policy| policy.mode() != Mode::Exempt);
            }
            let sharing: Vec<_> = handlers.iter().filter(named).collect();
            if meant.is_empty() && sharing.is_empty() {
                faults.push(unknown(&key, handlers));
            }
            if !(SHORTEST..=LONGEST).contains(&deadline) {
                faults.push(format!("{key}: a deadline has between `1ms` and `24h`"));
            }
            faults.extend(meant.first().and_then(|first| unfit(&key, first, &meant)));
            let entry = || (deadline, key.to_string());
            by_handler.extend(meant.iter().map(|policy| (id(policy), entry())));
            deadlines.extend(sharing.iter().map(|policy| (id(policy), entry())));
        }
        // Whoever names a handler means that one, and not those that share its deadline.
        deadlines.extend(by_handler);
        let nowhere = handlers.iter().filter(|policy| !deadlines.contains_key(&id(policy)));
        faults.extend(nowhere.filter_map(|policy| unsaid(policy)));
        if faults.is_empty() {
            Ok(Deadlines(deadlines))
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
        .map(|name| key.spell(name))
        .map(|name| (distance(&name, key.name()), name))
        .min()
        .filter(|(distance, name)| *distance <= name.len().div_ceil(3));
    match near {
        Some((_, name)) => format!("{key}: {what}; did you mean `{name}`?"),
        None => format!("{key}: {what}; `followthrough::policies()` lists them"),
    }
}

/// How far `found` is from `name`, or from its end: `show` is near to `orders::show`.
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
        return Some(format!("{key}: `{one}` and `{other}` are spelt alike here: say it in TOML"));
    }
    let exempt = meant.iter().find(|policy| policy.mode() == Mode::Exempt)?;
    Some(format!("{key}: `{}` is exempt and has no deadline: remove it", exempt.name()))
}

/// A handler whose deadline has a name that nothing explains.
fn unsaid(policy: &HandlerPolicy) -> Option<String> {
    let (handler, name) = (policy.name(), policy.named_deadline()?);
    Some(format!(
        "`{handler}` has the deadline `{name}`, and nothing says how long that is: say it with \
         `.named_deadline(\"{name}\", ..)`, in TOML or in the environment"
    ))
}

/// A static has one address, and a name may be shared.
fn id(policy: &'static HandlerPolicy) -> usize {
    std::ptr::from_ref(policy).addr()
}

/// The deadlines that are in force in place of what the attributes say, and by what.
#[derive(Debug)]
pub(crate) struct Deadlines(HashMap<usize, (Duration, String)>);

impl Deadlines {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn of(&self, policy: &'static HandlerPolicy) -> Option<(Duration, &str)> {
        self.0.get(&id(policy)).map(|(deadline, by)| (*deadline, &**by))
    }
}

fn listed(mut faults: Vec<String>) -> String {
    // The environment has no order of its own.
    faults.sort();
    faults.join("; ")
}

/// The grammar of the attribute, without its bare literals.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let millis =
        number.parse::<u64>().ok().zip(factor).and_then(|(n, factor)| n.checked_mul(factor));
    let time = millis.map(Duration::from_millis).filter(|time| (SHORTEST..=LONGEST).contains(time));
    time.ok_or_else(|| {
        format!(
            "expected a whole number and `ms`, `s`, `m` or `h`, from `1ms` to `24h`, found `{text}`"
        )
    })
}

/// Overrides that cannot be read, or that name no handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverridesError(pub(crate) String);

impl fmt::Display for OverridesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OverridesError {}

/// For a `main` that returns what its listener returns.
impl From<OverridesError> for std::io::Error {
    fn from(error: OverridesError) -> Self {
        Self::new(std::io::ErrorKind::InvalidInput, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static PLACE: HandlerPolicy = HandlerPolicy::new("orders::place", "a.rs", 1, Mode::Read);
    static SHOW: HandlerPolicy = HandlerPolicy::new("orders::show", "a.rs", 2, Mode::Read)
        .with_deadline(Duration::from_secs(5));
    static DASHED: HandlerPolicy = HandlerPolicy::new("the shop-front", "a.rs", 3, Mode::Read);
    static DOTTED: HandlerPolicy = HandlerPolicy::new("the shop.front", "a.rs", 4, Mode::Read);
    static HEALTH: HandlerPolicy = HandlerPolicy::new("health", "a.rs", 5, Mode::Exempt);
    const ALL: [&HandlerPolicy; 5] = [&PLACE, &SHOW, &DASHED, &DOTTED, &HEALTH];

    fn env(vars: &[(&str, &str)]) -> Result<Overrides, OverridesError> {
        Overrides::from_vars(
            "SHOP",
            vars.iter().map(|(name, value)| (name.into(), value.into())),
            &ALL,
        )
    }

    fn refused(overrides: Overrides) -> String {
        overrides.resolve(&ALL).expect_err("a fault").to_string()
    }

    #[test]
    fn the_environment_names_handlers_in_capitals() {
        let overrides = env(&[
            ("SHOP_DEADLINE_ORDERS__PLACE", "750ms"),
            ("SHOP_SERVICE_HOST", "10.0.0.1"),
            ("SHOP_PORT", "tcp://10.0.0.1:80"),
            ("HOME", "/"),
        ]);
        let deadlines = overrides.expect("one override").resolve(&ALL).expect("it is known");
        let by = "SHOP_DEADLINE_ORDERS__PLACE";
        assert_eq!(deadlines.of(&PLACE), Some((Duration::from_millis(750), by)));
        assert_eq!(deadlines.of(&SHOW), None);
    }

    #[test]
    fn a_later_override_wins() {
        let mut overrides = env(&[("SHOP_DEADLINE_ORDERS__SHOW", "1s")]).expect("one");
        overrides.extend(env(&[("SHOP_DEADLINE_ORDERS__SHOW", "2s")]).expect("another"));
        let deadlines = overrides.resolve(&ALL).expect("it is known");
        assert_eq!(deadlines.of(&SHOW).map(|(deadline, _)| deadline), Some(Duration::from_secs(2)));
    }

    #[test]
    fn every_fault_is_named_and_has_a_fix() {
        let unknown = env(&[("SHOP_DEADLINE_ORDERS__PLCE", "1s"), ("SHOP_DEADLINE_X", "1s")]);
        assert_eq!(
            refused(unknown.expect("two")),
            "SHOP_DEADLINE_ORDERS__PLCE: no handler has this name; did you mean `ORDERS__PLACE`?; \
             SHOP_DEADLINE_X: no handler has this name; `followthrough::policies()` lists them"
        );
        let exempt = env(&[("SHOP_DEADLINE_HEALTH", "1s")]).expect("one");
        assert_eq!(
            refused(exempt),
            "SHOP_DEADLINE_HEALTH: `health` is exempt and has no deadline: remove it"
        );
        let alike = env(&[("SHOP_DEADLINE_THE_SHOP_FRONT", "1s")]).expect("one");
        assert!(refused(alike).ends_with(
            "`the shop-front` and `the shop.front` are spelt alike here: say it in TOML"
        ));
        let misspelt = env(&[("SHOP_DEADLNE_ORDERS__PLACE", "1s")]).expect_err("a fault");
        assert_eq!(env(&[("SHOP_HEADLINE_MAX", "10")]), Ok(Overrides::default()));
        let short = env(&[("SHOP_DEADLINE_show", "1s")]).expect("one");
        assert!(refused(short).ends_with("did you mean `ORDERS__SHOW`?"));
        let bare = env(&[("SHOP_DEADLINE", "1s")]).expect("one");
        assert!(refused(bare).starts_with("SHOP_DEADLINE: no handler has this name"));
        assert!(Overrides::from_env("").is_err());
        assert!(misspelt.to_string().ends_with("did you mean `SHOP_DEADLINE_ORDERS__PLACE`?"));
    }

    #[test]
    fn only_durations_are_values() {
        for value in
            ["", "10", "s", "-1s", "1.5s", "0s", "25h", "1 s", "99999999999999999999s", "1\u{661}s"]
        {
            let error = env(&[("SHOP_DEADLINE_ORDERS__SHOW", value)]).expect_err(value).to_string();
            assert!(
                error.starts_with("SHOP_DEADLINE_ORDERS__SHOW: expected a whole number"),
                "{error}"
            );
        }
    }

    #[cfg(feature = "toml")]
    #[test]
    fn toml_names_handlers_as_they_are() {
        let text = "[deadline]\n\"orders::place\" = \"3s\"\n\"the shop.front\" = \"4s\"\n";
        let deadlines = Overrides::from_toml(text).expect("a table").resolve(&ALL).expect("known");
        let place = Some((Duration::from_secs(3), "`orders::place` in TOML"));
        assert_eq!(deadlines.of(&PLACE), place);
        assert_eq!(deadlines.of(&DOTTED).map(|(deadline, _)| deadline.as_secs()), Some(4));
        assert_eq!(deadlines.of(&DASHED), None);
        assert_eq!(Overrides::from_toml(""), Ok(Overrides::default()));
    }

    #[cfg(feature = "toml")]
    #[test]
    fn faults_of_toml_say_where_they_are() {
        let error = |text| Overrides::from_toml(text).expect_err(text).to_string();
        assert!(error("[deadline]\nx = ").contains("line 2"));
        assert!(
            error("[deadline]\nx::y = \"1s\"").ends_with("write `\"orders::show\" = \"750ms\"`")
        );
        assert!(error("[deadlines]\n").contains("expected `deadline`"));
        assert!(error("[deadline]\nx = 3\n").contains("expected a string"));
        assert!(
            error("[deadline]\nx = \"3\"\n").starts_with("`x` in TOML: expected a whole number")
        );
        let typo = Overrides::from_toml("[deadline]\n\"orders::shwo\" = \"1s\"").expect("a table");
        assert!(refused(typo).ends_with("did you mean `orders::show`?"));
    }
}
