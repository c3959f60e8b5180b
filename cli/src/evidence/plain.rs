//! Calls that only work on the values that they are given, by their names.

/// Methods of the standard library, axum and serde on values.
const METHODS: &str = " abs all and and_then any as_bytes as_deref as_mut as_ref as_slice as_str as_u64 as_i64 \
    bytes ceil chain char_indices chars checked_add checked_div checked_mul checked_sub chunks clone cloned cmp \
    collect contains contains_key copied count cycle dedup deref ends_with enumerate eq err expect extension \
    extensions extract filter filter_map find find_map first flat_map flatten floor fold for_each format get \
    get_or_insert_with headers headers_mut host http_status into into_bytes into_boxed_str into_inner into_iter \
    into_owned into_response into_string is_empty is_err is_none is_ok is_some is_some_and iter iter_mut join keys last \
    len lines log_err map map_err map_or map_or_else matches max max_by_key method min min_by_key ne next nth ok \
    ok_or ok_or_else or or_default or_else parse partition path peekable pow position query replace rev rfind round \
    rsplit saturating_add saturating_sub skip sort sort_by sort_by_key sort_unstable split split_once \
    split_whitespace starts_with status status_mut strip_prefix strip_suffix sum take take_while then then_some \
    then_with to_ascii_lowercase to_bytes to_lowercase to_owned to_rfc3339 to_str to_string to_uppercase to_vec \
    transpose trim trim_end trim_start try_into unwrap unwrap_err unwrap_or unwrap_or_default unwrap_or_else uri \
    values windows wrapping_add zip ";
/// Macros that only work on their arguments, or whose text is SQL.
const MACROS: &str = " assert_eq assert_ne concat dbg debug_assert debug_assert_eq debug_assert_ne env eprint file \
    format format_args html include_bytes include_str join json line matches pin print query query_as \
    query_as_unchecked query_file query_file_as query_file_scalar query_scalar query_scalar_unchecked \
    query_unchecked stringify try_join vec write writeln ";
/// Functions of a type that make a value.
const CONSTRUCTORS: &str = " as_ref builder clone default empty from from_iter from_millis from_secs from_static \
    from_str from_utf8 from_utf8_lossy is_empty max min new nil now now_utc parse parse_str to_string try_from \
    with_capacity ";

fn has(words: &str, word: &str) -> bool {
    words.split_ascii_whitespace().any(|known| known == word)
}

pub(super) fn is_method(name: &str) -> bool {
    has(METHODS, name)
}

pub(super) fn is_macro(name: &str) -> bool {
    has(MACROS, name)
}

/// Returns whether `owner::name(..)` makes a value: `Some(..)`, `Json(..)`, `Vec::new()`, `mem::take(..)`.
pub(super) fn is_function(owner: &str, name: &str) -> bool {
    let is_upper = |word: &str| word.starts_with(|first: char| first.is_ascii_uppercase());
    is_upper(name)
        || is_upper(owner) && has(CONSTRUCTORS, name)
        || ["mem", "cmp", "iter", "str", "serde_json"].contains(&owner)
}
