//! Durations in attributes: whole numbers with a unit, the larger unit first, from 1 ms to 24 h.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::{Expr, ExprLit, ExprPath, Lit, LitStr, spanned::Spanned};

/// The units with their milliseconds. In `1m30s` each unit is smaller than the one before it.
const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
const MAX_MILLIS: u64 = 24 * 3_600_000;
/// The longest time for which an answer is kept: 366 days.
const MAX_KEEP_MILLIS: u64 = 366 * MAX_MILLIS;

/// A duration in an attribute, with its span.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Period {
    pub(crate) millis: u64,
    pub(crate) span: Span,
}

impl Period {
    /// Reads `"10s"`, `10s` or `"1m30s"`, at most `24h`.
    pub(crate) fn from_expr(expr: &Expr) -> syn::Result<Self> {
        Self::up_to(MAX_MILLIS, expr)
    }

    /// Reads the time for which an answer is kept, at most `8784h`.
    pub(crate) fn kept(expr: &Expr) -> syn::Result<Self> {
        Self::up_to(MAX_KEEP_MILLIS, expr)
    }

    fn up_to(max: u64, expr: &Expr) -> syn::Result<Self> {
        let text = match expr {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => text.value(),
            Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => number.to_string(),
            Expr::Lit(ExprLit { lit: Lit::Float(number), .. }) => number.to_string(),
            Expr::Group(group) => return Self::up_to(max, &group.expr),
            Expr::Unary(negative) => negative.to_token_stream().to_string().replace(' ', ""),
            Expr::Path(_) | Expr::Call(_) => {
                return Err(syn::Error::new_spanned(
                    expr,
                    "a duration is written out here, so that the macro can check it: write `\"10s\"`",
                ));
            }
            other => {
                return Err(syn::Error::new_spanned(
                    other,
                    "expected a duration such as `\"10s\"`",
                ));
            }
        };
        let span = expr.span();
        match millis(&text, max) {
            Ok(millis) => Ok(Self { millis, span }),
            Err(message) => Err(syn::Error::new_spanned(expr, message)),
        }
    }
}

/// The deadline of a handler: a duration, or the name of a configured deadline.
#[derive(Clone)]
pub(crate) enum Bound {
    Period(Period),
    Named(LitStr),
}

impl Bound {
    /// Reads `"10s"`, `10s` or `"checkout"`.
    pub(crate) fn from_expr(expr: &Expr) -> syn::Result<Self> {
        match expr {
            Expr::Lit(ExprLit { lit: Lit::Str(name), .. }) if is_name(&name.value()) => {
                Ok(Self::Named(name.clone()))
            }
            Expr::Group(group) => Self::from_expr(&group.expr),
            Expr::Path(path) => Err(syn::Error::new_spanned(expr, constant(path))),
            _ => Period::from_expr(expr).map(Self::Period),
        }
    }

    pub(crate) fn period(&self) -> Option<Period> {
        match self {
            Self::Period(period) => Some(*period),
            Self::Named(_) => None,
        }
    }
}

/// Returns the error message for a constant, with the named deadline that does the same.
fn constant(path: &ExprPath) -> String {
    let path = path.to_token_stream().to_string().replace(' ', "");
    let name = path.rsplit("::").next().unwrap_or_default().to_lowercase();
    format!(
        "a deadline is written out, so that the macro can check it: write `\"10s\"`, or, on a handler, \
         `deadline = \"{name}\"` with `.named_deadline(\"{name}\", {path})` on the builder of the lifecycle"
    )
}

/// Returns whether `text` is the name of a deadline. A name begins with a letter, a duration with a digit.
fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.:".contains(c))
}

/// Writes the `Duration` that the runtime takes.
impl ToTokens for Period {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let millis = self.millis;
        tokens.extend(quote!(::core::time::Duration::from_millis(#millis)));
    }
}

/// Returns the milliseconds in `text`, or an error message with the fix.
fn millis(text: &str, max: u64) -> Result<u64, String> {
    if text.starts_with('-') {
        return Err(format!(
            "a duration cannot be negative: write `{}`",
            text.trim_start_matches('-')
        ));
    }
    if text.contains(char::is_whitespace) {
        let short: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        if millis(&short, max).is_ok() {
            return Err(format!("`{text}` has a space in it: write `{short}`"));
        }
    }
    let too_long =
        || format!("`{text}` is too long: the longest duration is `{}h`", max / 3_600_000);
    let (mut total, mut rest, mut unit_before) = (0_u64, text, u64::MAX);
    while !rest.is_empty() || unit_before == u64::MAX {
        let part = Part::of(rest);
        if part.number.is_empty() {
            return Err(format!("expected a duration such as `10s`, found `{text}`"));
        }
        if part.unit.starts_with('.') {
            return Err(if total == 0 { fractional(rest) } else { fraction_after(text) });
        }
        let Some(&(_, factor)) = UNITS.iter().find(|(name, _)| *name == part.unit) else {
            let read = &text[..text.len() - rest.len()];
            if let Some(hours) = hours_of_days(read, &part, max) {
                return Err(format!("unknown unit `{}`: write `{hours}h`", part.unit));
            }
            return Err(unknown_unit(read, &part.number, part.unit));
        };
        if factor >= unit_before {
            return Err(format!(
                "`{text}` is out of order: write each unit once, the larger one first, as in `1m30s`"
            ));
        }
        let millis = part.number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
        total = millis.and_then(|millis| total.checked_add(millis)).ok_or_else(too_long)?;
        (rest, unit_before) = (part.rest, factor);
    }
    match total {
        0 => Err(format!("`{text}` is already over: the shortest duration is `1ms`")),
        millis if millis <= max => Ok(millis),
        _ => Err(too_long()),
    }
}

/// A number with its unit, and the text after them.
struct Part<'a> {
    number: String,
    unit: &'a str,
    rest: &'a str,
}

impl<'a> Part<'a> {
    fn of(text: &'a str) -> Self {
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
        let (number, rest) = text.split_at(digits);
        let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (unit, rest) = rest.split_at(unit);
        Self { number: number.replace('_', ""), unit, rest }
    }
}

/// Returns the error message for a unit after the parts that were `read`.
fn unknown_unit(read: &str, number: &str, unit: &str) -> String {
    let trimmed = unit.trim();
    let known = match trimmed.to_ascii_lowercase().as_str() {
        "" => {
            return format!(
                "`{number}` has no unit: write `{read}{number}s` or `{read}{number}ms`"
            );
        }
        "sec" | "secs" | "second" | "seconds" | "s" => "s",
        "min" | "mins" | "minute" | "minutes" | "m" => "m",
        "hour" | "hours" | "hr" | "hrs" | "h" => "h",
        "msec" | "msecs" | "millis" | "milliseconds" | "ms" => "ms",
        _ => return format!("unknown unit `{trimmed}`: expected `ms`, `s`, `m` or `h`"),
    };
    format!("unknown unit `{trimmed}`: write `{read}{number}{known}`")
}

/// Returns the hours of a whole number of days, if nothing was `read` before it, and if it is not too long.
fn hours_of_days(read: &str, part: &Part<'_>, max: u64) -> Option<u64> {
    let is_days = matches!(part.unit, "d" | "day" | "days");
    let is_alone = read.is_empty() && part.rest.is_empty();
    let days = part.number.parse::<u64>().ok().filter(|_| is_days && is_alone)?;
    let hours = days.checked_mul(24)?;
    (1..=max / 3_600_000).contains(&hours).then_some(hours)
}

fn fraction_after(text: &str) -> String {
    format!("`{text}` has a fraction: each part is a whole number, as in `1m1s500ms`")
}

/// Returns the error message for a fraction, with the same duration as a whole number of milliseconds.
fn fractional(text: &str) -> String {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_');
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let factor = UNITS.iter().find(|(name, _)| *name == unit || unit.is_empty() && *name == "s");
    let exact = factor.and_then(|(_, factor)| in_millis(&number.replace('_', ""), *factor));
    match exact {
        Some(millis) => format!("a duration is a whole number: write `{millis}ms`"),
        None => "a duration is a whole number, from `1ms` to `24h`".to_owned(),
    }
}

/// Converts a decimal number to milliseconds without floats, because a float cannot represent `1.1`.
fn in_millis(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.')?;
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut millis = whole.checked_mul(factor)?;
    if !fraction.is_empty() {
        let parts: u64 = fraction.parse().ok()?;
        let scale = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        millis = millis.checked_add(parts.checked_mul(factor)? / scale)?;
    }
    (1..=MAX_MILLIS).contains(&millis).then_some(millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> Result<u64, String> {
        super::millis(text, MAX_MILLIS)
    }

    fn error_of(text: &str) -> String {
        millis(text).expect_err(text)
    }

    #[test]
    fn an_answer_may_be_kept_for_a_year() {
        assert_eq!(super::millis("168h", MAX_KEEP_MILLIS), Ok(7 * MAX_MILLIS));
        let days = |text| super::millis(text, MAX_KEEP_MILLIS).expect_err(text);
        assert_eq!(days("7d"), "unknown unit `d`: write `168h`");
        assert!(days("367d").contains("expected `ms`"));
        assert!(days("1d12h").contains("expected `ms`"));
        assert!(days("1h30d").contains("expected `ms`"));
        let too_long = super::millis("8785h", MAX_KEEP_MILLIS).expect_err("it is longer");
        assert!(too_long.ends_with("`8784h`"));
    }

    #[test]
    fn whole_numbers_with_a_unit() {
        assert_eq!(millis("1ms"), Ok(1));
        assert_eq!(millis("10s"), Ok(10_000));
        assert_eq!(millis("5m"), Ok(300_000));
        assert_eq!(millis("24h"), Ok(MAX_MILLIS));
        assert_eq!(millis("1_500ms"), Ok(1_500));
    }

    #[test]
    fn several_units_add_up() {
        assert_eq!(millis("1m30s"), Ok(90_000));
        assert_eq!(millis("1h2m3s4ms"), Ok(3_723_004));
        assert_eq!(millis("23h60m"), Ok(MAX_MILLIS));
        assert_eq!(millis("0m1ms"), Ok(1));
        assert!(error_of("24h1ms").ends_with("`24h`"));
        assert!(error_of("0h0s").ends_with("`1ms`"));
        assert!(error_of("1s30m").contains("larger one first"));
        assert!(error_of("1s1s").contains("each unit once"));
        assert!(error_of("1m30").ends_with("write `1m30s` or `1m30ms`"));
        assert!(error_of("1m30sec").ends_with("write `1m30s`"));
        assert!(error_of("1m1.5s").ends_with("as in `1m1s500ms`"));
        assert!(error_of("1m 30s").ends_with("write `1m30s`"));
        assert!(error_of("1.5m30s").ends_with("from `1ms` to `24h`"));
        assert!(error_of("1.5min").ends_with("from `1ms` to `24h`"));
        assert!(error_of("1m soon").contains("expected `ms`, `s`, `m` or `h`"));
    }

    #[test]
    fn every_error_names_the_fix() {
        assert!(error_of("1.5s").ends_with("write `1500ms`"));
        assert!(error_of("0.5m").ends_with("write `30000ms`"));
        assert!(error_of("1.1s").ends_with("write `1100ms`"));
        assert!(error_of("-5s").ends_with("write `5s`"));
        assert!(error_of("10").ends_with("write `10s` or `10ms`"));
        assert!(error_of("10sec").ends_with("write `10s`"));
        assert!(error_of("10 s").ends_with("write `10s`"));
        assert!(error_of("10d").contains("expected `ms`, `s`, `m` or `h`"));
        assert!(error_of("0s").ends_with("`1ms`"));
        assert!(error_of("25h").ends_with("`24h`"));
        assert!(error_of("99999999999999999999s").ends_with("`24h`"));
        assert!(error_of("").contains("such as `10s`"));
        assert!(error_of("soon").contains("such as `10s`"));
        assert!(error_of("0.0001s").contains("from `1ms`"));
    }

    #[test]
    fn a_word_is_the_name_of_a_deadline() {
        let named = |text: &str| {
            let expr: Expr = syn::parse_str(text).expect(text);
            matches!(Bound::from_expr(&expr), Ok(Bound::Named(_)))
        };
        assert!(named("\"checkout\""));
        assert!(named("\"orders::slow-lane.2\""));
        assert!(!named("\"10s\""));
        assert!(!named("\"\""));
        assert!(!named("\"ten seconds\""));
        assert!(!named("checkout"));
    }

    #[test]
    fn bare_literals_and_strings_are_the_same() {
        for source in ["10s", "\"10s\""] {
            let expr: Expr = syn::parse_str(source).expect(source);
            assert_eq!(Period::from_expr(&expr).expect(source).millis, 10_000);
        }
        let negative: Expr = syn::parse_str("-5s").expect("an expression");
        assert!(Period::from_expr(&negative).is_err());
    }
}
