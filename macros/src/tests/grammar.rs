//! A grammar of valid and invalid items with followthrough attributes.
//!
//! `$name` stands for one of the alternatives of `name`. The first alternative always ends the recursion.

use super::choices::Choices;

/// Writes a text of the rule `name`.
pub(crate) fn write(name: &str, choices: &mut Choices<'_>) -> String {
    let mut text = String::new();
    expand(name, choices, 0, &mut text);
    text
}

/// Returns the name of any rule.
pub(crate) fn any(choices: &mut Choices<'_>) -> &'static str {
    choices.pick(GRAMMAR).0
}

/// At this depth, each rule takes its first alternative.
const MAX_DEPTH: usize = 12;

fn expand(name: &str, choices: &mut Choices<'_>, depth: usize, text: &mut String) {
    let (_, alternatives) =
        GRAMMAR.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no `{name}`"));
    let chosen = if depth < MAX_DEPTH { choices.pick(alternatives) } else { &alternatives[0] };
    let mut rest = *chosen;
    while let Some((before, after)) = rest.split_once('$') {
        text.push_str(before);
        let end = after.find(|c: char| c != '_' && !c.is_alphabetic()).unwrap_or(after.len());
        expand(&after[..end], choices, depth + 1, text);
        rest = &after[end..];
    }
    text.push_str(rest);
}

type Rule = (&'static str, &'static [&'static str]);

// rustfmt would put each alternative on its own line.
#[rustfmt::skip]
const GRAMMAR: &[Rule] = &[
    ("item", &[
        "$policy $attributes $vis $qualifier fn $name $generics($params) $returns $bounds { $inner $body }",
        "$policy $attributes $vis async fn $name($params) $returns { $body }",
        "$policy $attributes async fn $name($params) $returns { $body }",
        "$attributes $policy $attributes async fn $name($params) -> u8 { $body }",
        "$policy $attributes $other",
    ]),
    ("policy", &[
        "#[cancellable($args)]", "#[cancellable(read, $args)]",
        "#[cancellable(reversible_write, on_cancel = $expr, $args)]", "#[durable_write]",
        "#[durable_write($args)]", "#[exempt($args)]", "#[exempt(reason = \"x\")]", "#[background]",
        "#[background($args)]", "#[followthrough::cancellable($args)]", "#[deadline($args)]",
    ]),
    ("args", &["", "$arg", "$arg, $args", "$arg, $arg,", "$arg $args", "$token $args"]),
    ("arg", &[
        "read", "stream", "idempotent_write", "reversible_write", "cooperative", "finish",
        "on_cancel = $expr", "deadline = $period", "$period", "needs = $period", "name = $text",
        "reason = $text", "streaming_body = $text", "safe_method = $text", "max_in_flight = $expr",
        "idempotency_key = $word", "keep = $period", "after_crash = $word",
        "crate = ::renamed::path", "crate = $path", "$name = $expr", "$name =", "$name", "$expr",
        "__moved",
    ]),
    ("period", &[
        "10s", "\"10s\"", "\"\"", "1.5s", "-5s", "25h", "0s", "\"1 min\"", "\"é\"", "0x1s", "$expr",
    ]),
    ("word", &["\"required\"", "\"optional\"", "\"again\"", "\"unknown\"", "$text"]),
    ("text", &["\"x\"", "\" \"", "b\"x\"", "c\"x\"", "r#\"x\"#", "1", "$expr"]),
    ("attributes", &["", "$attribute", "$attribute $attributes"]),
    ("attribute", &[
        "#[allow(unused)]", "/// Docs.\n", "#[deadline = $period]", "#[deadline($period)]",
        "#[deadline]", "#[instrument(err)]", "#[cfg(x)]", "#[cfg_attr(x, deadline = $period)]",
        "#[cfg_attr(x, deadline($args), allow(unused))]",
        "#[cfg_attr(x, $name::cancellable($args))]", "#[cfg_attr($args)]", "#[cfg_attr]",
        "#[$path]", "#[$path = $expr]", "#[unsafe(no_mangle)]", "$site", "$policy",
    ]),
    ("vis", &["", "pub", "pub(crate)", "pub(in $path)"]),
    ("qualifier", &["async", "", "const async", "async unsafe", "extern \"C\"", "safe", "unsafe"]),
    ("name", &["f", "r#type", "cancel", "naïve", "reason", "deadline", "self", "crate", "_"]),
    ("path", &["a::b", "f", "::f", "self::f", "crate", "f::<$type>", "<$type>::f"]),
    ("generics", &["", "<T>", "<'a, T: 'a + Copy, const N: usize>", "<T = u8>", "<>"]),
    ("bounds", &["", "where T: Db", "where", "where for<'a> &'a T: Db,"]),
    ("params", &["", "$param", "$param, $params", "$param, $param, $params", "$seventeen"]),
    ("seventeen", &[
        "a: A, b: A, c: A, d: A, e: A, f: A, g: A, h: A, i: A, j: A, k: A, l: A, m: A, n: A, o: A, p: A, q: A",
    ]),
    ("param", &[
        "cancel: CancellationToken", "cancel: RequestToken", "cancel: DurableToken",
        "cancel: ShutdownToken", "key: IdempotencyKey", "key: Option<IdempotencyKey>",
        "mut cancel: CancellationToken", "_: CancellationToken",
        "ref cancel: RequestToken", "State(db): State<Db>", "$pat: $type", "$attribute $pat: $type",
        "self", "&mut self", "self: Box<Self>", "...",
    ]),
    ("pat", &[
        "x", "_", "mut x", "cancel", "None", "Some(x)", "(a, _b)", "P { a, b: c, .. }",
        "[a, .., b]", "x @ 1..=2", "&x", "A | B", "m!()", "-1",
    ]),
    ("type", &[
        "u8", "Body", "CancellationToken", "a::RequestToken", "(DurableToken)",
        "Option<CancellationToken>", "impl Into<$type>", "Json<$type>", "($type, $type)",
        "&'a mut $type", "[$type; N]", "dyn Fn($type) -> $type + 'a", "fn($type) -> !",
        "<$type as T>::O", "m!()", "_",
    ]),
    ("returns", &[
        "", "-> u8", "-> Result<Json<u8>, E>", "-> impl IntoResponse",
        "-> Sse<impl Stream<Item = u8>>", "-> $type", "-> Governed<u8, Read>", "-> !",
    ]),
    ("inner", &["", "#![allow(unused)]", "#![durable_write]", "#!"]),
    ("body", &["", "$expr", "$stmt $body", "$site $stmt $body", "$site $stmt $expr"]),
    ("site", &[
        "#[durable_write]", "#[cancellable(read)]", "#[cancellable(read, $args)]",
        "#[cancellable(read)] #[deadline = \"2s\"]", "#[deadline = \"2s\"]", "#[deadline(2s)]",
        "#[deadline]", "#[durable_write($args)]", "#[durable_write = $expr]",
        "#[cancellable = $expr]", "#[exempt]", "#[cfg_attr(x, durable_write)]",
        "$attribute #[durable_write]", "#[durable_write] $attribute",
    ]),
    ("stmt", &[
        "w(&cancel).await?;", "let x = $expr;", "let $pat: $type = $expr;",
        "let Some(x) = $expr else { return; };", "let $pat;", "$expr;", "x = $expr;", "x += $expr;",
        "$expr = $expr;", "if $expr { $body } else { $body }", "if let $pat = $expr { $body }",
        "match $expr { $pat if $expr => $expr, _ => { $body } }", "'a: loop { $body break 'a; }",
        "while let $pat = $expr { $body }", "for $pat in $expr { $body }", "{ $body }",
        "unsafe { $body }", "m! { $body }", "m!($body);", "fn inner() { $body }", "$item", "$other",
        "let __tracing_instrument_future = async move { $body };",
        "let __tracing_instrument_future = async move { match async move { $body }.await { e => e } };",
        "return $expr;", ";",
    ]),
    ("expr", &[
        "w(&cancel).await", "x", "1", "cancel", "w($expr)", "$expr.await", "$expr?",
        "$expr.m($expr)", "$expr + $expr", "$expr as $type", "$expr..$expr", "!$expr", "&$expr",
        "($expr)", "($site $expr)", "w($site $expr)", "$site $expr", "{ $body }",
        "async move { $body }", "|$pat| $expr", "async |x| { $body }", "m!($expr)",
        "join!($site $expr, $expr)", "\"{cancel}\"", "P { a: $expr, ..$expr }", "[$expr; 2]",
        "let $pat = $expr", "if $expr { $body } else { $body }", "match $expr { $pat => $expr, }",
        "const { $body }", "$expr.", "$path",
    ]),
    ("other", &[
        "struct S;", "struct S { $attribute x: $type }", "mod m { $item }", "impl S { $item }",
        "trait T { $policy async fn f(&self); }", "async fn f($params);", "const X: u8 = $expr;",
        "macro_rules! m { () => { $body } }", "use a::b;", "$expr", "async fn f($params) -> $type",
        "fn",
    ]),
    ("token", &[
        "=", ",", "#", "!", ".", "..", "->", "=>", "::", "<", ">", "|", "&&", "'a", "fn", "let",
        "1e9", ";", "@",
    ]),
];
