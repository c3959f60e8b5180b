//! Any attribute before any item: the macros do not panic, and their output has the properties of
//! `macros/src/tests/properties.rs`.

#![no_main]
// The unit tests of the macros also include these modules, and each user leaves some items unused.
#![allow(dead_code, unreachable_pub)]

#[path = "../../../macros/src/cfg_attr.rs"]
mod cfg_attr;
#[path = "../../../macros/src/tests/choices.rs"]
mod choices;
#[path = "../../../macros/src/deadline.rs"]
mod deadline;
#[path = "../../../macros/src/duration.rs"]
mod duration;
#[path = "../../../macros/src/error.rs"]
mod error;
#[path = "../../../macros/src/expand/mod.rs"]
mod expand;
#[path = "../../../macros/src/tests/generator.rs"]
mod generator;
#[path = "../../../macros/src/tests/grammar.rs"]
mod grammar;
#[path = "../../../macros/src/handler.rs"]
mod handler;
#[path = "../../../macros/src/inspect.rs"]
mod inspect;
#[path = "../../../macros/src/tests/invocation.rs"]
mod invocation;
#[path = "../../../macros/src/model.rs"]
mod model;
#[path = "../../../macros/src/parse/mod.rs"]
mod parse;
#[path = "../../../macros/src/tests/properties.rs"]
mod properties;
#[path = "../../../macros/src/scan.rs"]
mod scan;
#[path = "../../../macros/src/sites/mod.rs"]
mod sites;
#[path = "../../../macros/src/suggest.rs"]
mod suggest;
#[path = "../../../macros/src/symbol.rs"]
mod symbol;
#[path = "../../../macros/src/validate/mod.rs"]
mod validate;
#[path = "../../../macros/src/worker.rs"]
mod worker;

use generator::Generator;
use libfuzzer_sys::fuzz_target;
use std::path::Path;

thread_local! {
    static GENERATOR: Generator =
        Generator::new(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ui-tests/tests"));
}

fuzz_target!(|bytes: &[u8]| {
    GENERATOR.with(|generator| {
        let invocation = generator.invocation(bytes);
        // libFuzzer stores only the bytes of an input, so this shows the code that they stand for.
        if std::env::var_os("SHOW").is_some() {
            eprintln!("{invocation}");
        }
        if let Err(fault) = properties::check(&invocation) {
            panic!("{fault}");
        }
    });
});
