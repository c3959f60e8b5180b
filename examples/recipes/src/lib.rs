//! Small services, one a question. Each begins with what it shows and why its handlers have their policies, and ends with
//! a test that shows it.
//!
//! `cargo run -p recipes` lists them, and `cargo run -p recipes -- todos` serves one.

#![allow(clippy::doc_markdown, reason = "questions of people, with the names that they know")]

#[cfg(test)]
mod ask;

pub mod blocking;
pub mod chat;
pub mod consume_body;
pub mod deadlines;
pub mod dependency_injection;
pub mod error_handling;
pub mod form;
pub mod graceful_shutdown;
pub mod holds;
pub mod idempotency;
pub mod jwt;
pub mod key_value_store;
pub mod metrics;
pub mod multipart;
pub mod not_found;
pub mod postgres;
pub mod request_id;
pub mod reverse_proxy;
pub mod sqlite;
pub mod sse;
pub mod static_files;
pub mod streaming;
pub mod testing;
pub mod tls;
pub mod todos;
pub mod validator;
pub mod versioning;
pub mod worker;
pub mod workflow;

/// A recipe.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// The name of its module.
    pub name: &'static str,
    source: &'static str,
}

impl Recipe {
    /// Returns the question that the recipe answers, which is the first line of its source.
    pub fn question(&self) -> &'static str {
        self.source.lines().next().unwrap_or_default().trim_start_matches("//! ")
    }
}

macro_rules! recipes {
    ($($name:literal)*) => {
        &[$(Recipe { name: $name, source: include_str!(concat!($name, ".rs")) }),*]
    };
}

/// All recipes, in the order of the guide.
pub const RECIPES: &[Recipe] = recipes![
    "todos" "key_value_store" "form" "validator" "multipart" "streaming" "static_files" "sqlite" "postgres" "holds"
    "idempotency" "error_handling" "jwt" "dependency_injection" "consume_body" "not_found" "versioning" "deadlines" "blocking" "sse"
    "chat" "reverse_proxy" "tls" "worker" "workflow" "graceful_shutdown" "request_id" "metrics" "testing"
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn each_module_is_listed_with_its_question() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
        let modules = files.map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned());
        let others = ["lib", "main", "ask"];
        let modules: BTreeSet<_> = modules.filter(|name| !others.contains(&&**name)).collect();
        let listed: BTreeSet<_> = RECIPES.iter().map(|recipe| recipe.name.to_owned()).collect();
        assert_eq!(modules, listed);
        for recipe in RECIPES {
            let question = recipe.question();
            let is_question = question.starts_with("How do I ") && question.ends_with('?');
            assert!(is_question, "`{}.rs` begins with {question:?}", recipe.name);
        }
    }

    #[test]
    fn the_guide_has_each_question_with_its_recipe() {
        let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../../runtime/guide/recipes.md");
        let guide = fs::read_to_string(guide).unwrap();
        for recipe in RECIPES {
            let question = recipe.question().trim_start_matches("How do I ");
            let row = format!("| {question} | `{}` | ", recipe.name);
            assert!(guide.contains(&row), "`runtime/guide/recipes.md` has no row {row:?}");
        }
    }
}
