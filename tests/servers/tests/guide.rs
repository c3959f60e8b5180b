//! The guide shows the programs that the tests run, and a real signal ends them.

use std::process::Command;

use followthrough_server_tests::recipes::drain::terminated;
use followthrough_tests::soon;
use futures_util::poll;

const GUIDE: &str = include_str!("../../../runtime/guide/servers.md");

const RECIPES: [&str; 5] = [
    include_str!("../src/recipes/drain.rs"),
    include_str!("../src/recipes/axum_serve.rs"),
    include_str!("../src/recipes/axum_server.rs"),
    include_str!("../src/recipes/tonic_server.rs"),
    include_str!("../src/recipes/own_server.rs"),
];

/// Returns the lines of `text` without those that rustdoc hides, and without imports within this
/// crate.
fn lines<'a>(text: &'a str, hidden: &'a [&str]) -> Vec<&'a str> {
    let shown = |line: &&str| !line.is_empty() && !hidden.iter().any(|it| line.starts_with(it));
    text.lines().filter(shown).collect()
}

#[test]
fn the_guide_shows_what_is_tested() {
    let guide = lines(GUIDE, &["# "]);
    for recipe in RECIPES {
        let recipe = lines(recipe, &["//!", "use super::", "use crate::"]);
        let shown = guide.windows(recipe.len()).any(|part| part == recipe);
        assert!(shown, "not in `runtime/guide/servers.md` as it is:\n{}", recipe.join("\n"));
    }
}

#[tokio::test]
async fn the_recipe_ends_on_a_real_sigterm() {
    let mut signal = Box::pin(terminated());
    assert!(poll!(&mut signal).is_pending());
    let pid = std::process::id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    soon("the signal", signal).await;
}
