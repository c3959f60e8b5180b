//! Checks expansions of generated inputs, which are the same in every run. `tests/fuzz` generates others.

use super::{generator::Generator, properties::check};
use std::path::{Path, PathBuf};

const INPUTS: u64 = 2_000;
const MAX_BYTES: u64 = 256;

/// The random number generator splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Returns the folder of `ui-tests`, or in the published package, which has no `ui-tests`, the folder of the
/// recorded expansions.
fn cases() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    // cargo writes this file into a package.
    let is_published = package.join("Cargo.toml.orig").exists();
    package.join(if is_published { "src/tests/expansions" } else { "../ui-tests/tests" })
}

#[test]
fn generated_inputs_expand_soundly() {
    let generator = Generator::new(&cases());
    for input in 0..INPUTS {
        let mut random = Random(input);
        let length = 2 + random.next() % MAX_BYTES;
        let bytes: Vec<u8> = (0..length).map(|_| random.next().to_le_bytes()[0]).collect();
        let invocation = generator.invocation(&bytes);
        let outcome = std::panic::catch_unwind(|| check(&invocation));
        let outcome = outcome.unwrap_or_else(|_| Err(format!("a panic:\n\n{invocation}")));
        outcome.unwrap_or_else(|fault| panic!("input {input}: {fault}"));
    }
}
