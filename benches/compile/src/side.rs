//! A side of a comparison of first builds.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    Failure,
    scratch::{Package, Scratch},
};

/// A service with its dependencies, and the least time of each compilation.
pub(crate) struct Side {
    scratch: Scratch,
    /// By the package and its features: with other features it is another compilation.
    times: BTreeMap<(String, String), f64>,
}

impl Side {
    pub(crate) fn new(name: &str, manifest: &str, source: &str) -> Result<Self, Failure> {
        let package = Package { name: "service", manifest, source };
        Ok(Self { scratch: Scratch::new(name, &[package])?, times: BTreeMap::new() })
    }

    /// Builds everything from the start.
    pub(crate) fn build(&mut self) -> Result<(), Failure> {
        self.scratch.cold()?;
        let mut times = BTreeMap::new();
        for run in self.scratch.compile(&["build"])? {
            *times.entry((run.package, run.features)).or_insert(0.0) += run.seconds;
        }
        for (compilation, seconds) in times {
            let least = self.times.entry(compilation).or_insert(f64::INFINITY);
            *least = least.min(seconds);
        }
        Ok(())
    }

    /// The time of all compilations.
    pub(crate) fn seconds(&self) -> f64 {
        self.times.values().sum()
    }

    /// The time of what is compiled on one side only. A package with the same features on both sides is left out,
    /// because its two times differ by noise only.
    pub(crate) fn over(&self, other: &Self) -> f64 {
        let alone = |side: &Self, other: &Self| -> f64 {
            let alone = side.times.iter().filter(|(key, _)| !other.times.contains_key(*key));
            alone.map(|(_, seconds)| seconds).sum()
        };
        alone(self, other) - alone(other, self)
    }

    /// The packages that `other` has not: how many, and their time. What other packages grow by is left out, because
    /// it is less than the noise.
    pub(crate) fn packages_over(&self, other: &Self) -> (usize, f64) {
        let theirs = other.packages();
        let more: Vec<_> =
            self.packages().into_iter().filter(|package| !theirs.contains(package)).collect();
        (more.len(), more.iter().map(|package| self.seconds_of(package)).sum())
    }

    /// The names of the packages.
    pub(crate) fn packages(&self) -> BTreeSet<&str> {
        self.times.keys().map(|(package, _)| package.as_str()).collect()
    }

    /// The time of one package, in all its features.
    pub(crate) fn seconds_of(&self, package: &str) -> f64 {
        let of = self.times.iter().filter(|((name, _), _)| name == package);
        of.map(|(_, seconds)| seconds).sum()
    }

    /// The size in bytes of the program as it is released, without symbols.
    pub(crate) fn size(&self) -> Result<u64, Failure> {
        self.scratch.size_of("service")
    }
}
