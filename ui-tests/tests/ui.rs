//! What compiles, and what the compiler says when it must not.
//!
//! One folder an attribute, one case a fault. `TRYBUILD=overwrite cargo test -p
//! followthrough-ui-tests --test ui` writes the messages anew: read them as a user would.

#[test]
fn ui() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/*/pass/*.rs");
    cases.compile_fail("tests/*/fail/*.rs");
}
