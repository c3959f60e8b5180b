//! Deadlines that an operator changes by the names of the handlers.

mod key;
mod resolve;

use std::{env, ffi::OsString, fmt, time::Duration};

use key::{Key, env_name};
pub(crate) use resolve::Deadlines;

use crate::handler_policy::HandlerPolicy;

/// The bounds of every deadline.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Deadlines by the name of the handler, read at start-up, so that an operator can change them without a new
/// build. [`LifecycleBuilder::overrides`](crate::LifecycleBuilder::overrides) replaces the deadlines of the
/// attributes by them; a misspelt name is an error that suggests the right one.
/// [`Lifecycle::policies`](crate::Lifecycle::policies) shows the deadlines in force, and their origins.
///
/// A key is a handler's name in the [catalogue](crate::policies): `module::function`, or the `name = "…"` of
/// the attribute. A key can also be the name of a deadline that handlers share: `#[deadline = "checkout"]`.
/// Every such name needs a value, here or by
/// [`LifecycleBuilder::named_deadline`](crate::LifecycleBuilder::named_deadline). The key `default` is the
/// service's [`default_deadline`](crate::LifecycleBuilder::default_deadline), unless a handler or a deadline has
/// that name. The value is a duration as in an
/// attribute, from `1ms` to `24h`: whole numbers with `ms`, `s`, `m` or `h`, as in `750ms` or `1m30s`. Closures are not in the catalogue, so they have no key.
///
/// # Examples
///
/// ```
/// use followthrough::{Lifecycle, Overrides};
///
/// let lifecycle = Lifecycle::builder()
///     .overrides(Overrides::from_env("ORDERS")?) // ORDERS_DEADLINE_ORDERS__SHOW=250ms
///     .build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// `Overrides::from_toml`, with the feature `toml`, reads a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "it has no effect until a lifecycle is built with it"]
pub struct Overrides(Vec<Override>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Override {
    key: Key,
    deadline: Duration,
}

impl Overrides {
    /// Reads the variables `{prefix}_DEADLINE_{NAME}`, with the handler's name in capitals and `_` for each
    /// character that is neither a letter nor a digit: `ORDERS_DEADLINE_ORDERS__PLACE=3s` for `orders::place`.
    ///
    /// Other variables with the prefix are ignored, because Kubernetes sets some for every service.
    ///
    /// # Errors
    ///
    /// If the prefix is empty, a value is not a duration, or the name of a handler follows a misspelt
    /// `DEADLINE`.
    pub fn from_env(prefix: &str) -> Result<Self, OverridesError> {
        Self::from_vars(prefix, env::vars_os(), &crate::deadlines::declared())
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
    /// If the text is not TOML, has more than that table, or has a value that is not a duration.
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

    /// Adds the overrides of `later`, which win over those that are there.
    pub(crate) fn extend(&mut self, later: Self) {
        self.0.extend(later.0);
    }

    /// Adds the value of a named deadline from the code.
    pub(crate) fn named(&mut self, name: &str, deadline: Duration) {
        self.0.push(Override { key: Key::Code(name.to_owned()), deadline });
    }
}

fn listed(mut faults: Vec<String>) -> String {
    // Sorted, because the environment has no order.
    faults.sort();
    faults.join("; ")
}

/// Parses a duration as the attribute does, but without its bare literals.
fn duration(text: &str) -> Result<Duration, String> {
    let time = millis(text).map(Duration::from_millis);
    time.filter(|time| (SHORTEST..=LONGEST).contains(time)).ok_or_else(|| {
        format!(
            "expected a whole number and `ms`, `s`, `m` or `h`, as in `10s` or `1m30s`, from `1ms` to `24h`, \
             found `{text}`"
        )
    })
}

/// Adds up whole numbers with a unit, of which each is smaller than the one before it.
fn millis(text: &str) -> Option<u64> {
    let (mut total, mut rest, mut unit_before) = (0_u64, text, u64::MAX);
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '_')?);
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let factor = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        if factor >= unit_before {
            return None;
        }
        total =
            total.checked_add(number.replace('_', "").parse::<u64>().ok()?.checked_mul(factor)?)?;
        (rest, unit_before) = (after, factor);
    }
    Some(total)
}

/// The error of overrides that cannot be read, or whose name no handler has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverridesError(pub(crate) String);

impl fmt::Display for OverridesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OverridesError {}

/// Lets `main` return the error with `?` beside those of its listener.
impl From<OverridesError> for std::io::Error {
    fn from(error: OverridesError) -> Self {
        Self::new(std::io::ErrorKind::InvalidInput, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler_policy::Mode;

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
            "`the shop-front` and `the shop.front` have the same name here: set it in TOML"
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
                .into_iter()
                .chain(["1s30m", "1s1s", "1m30", "1m 30s", "24h1ms", "1m30s ", "0h0s"])
        {
            let error = env(&[("SHOP_DEADLINE_ORDERS__SHOW", value)]).expect_err(value).to_string();
            assert!(
                error.starts_with("SHOP_DEADLINE_ORDERS__SHOW: expected a whole number"),
                "{error}"
            );
        }
    }

    #[test]
    fn several_units_add_up() {
        for (text, millis) in [("1m30s", 90_000), ("1h2m3s4ms", 3_723_004), ("23h60m", 86_400_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)));
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
