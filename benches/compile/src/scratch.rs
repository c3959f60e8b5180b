//! A workspace of generated crates below the target directory.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::SystemTime,
};

use crate::{
    Failure,
    cpu::{self, Run},
};

/// The workspace, and cargo's target directory for it.
pub(crate) struct Scratch {
    root: PathBuf,
    target: PathBuf,
    toolchain: Option<&'static str>,
    incremental: bool,
}

/// A generated package.
pub(crate) struct Package<'a> {
    pub(crate) name: &'a str,
    /// The part of its `Cargo.toml` behind the name.
    pub(crate) manifest: &'a str,
    /// Its `src/lib.rs`, or `src/main.rs` if it has a `fn main`.
    pub(crate) source: &'a str,
}

/// An attribute that returns its item unchanged, as the baseline: every attribute has this cost.
pub(crate) const IDENTITY: Package<'_> = Package {
    name: "identity",
    manifest: "[lib]\nproc-macro = true\n",
    source: "//! The attribute that changes nothing.\n\
             use proc_macro::TokenStream;\n\
             #[proc_macro_attribute]\n\
             pub fn identity(_: TokenStream, item: TokenStream) -> TokenStream {\n    item\n}\n",
};

/// Returns the root of the repository.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Returns the runtime as a path dependency in a manifest.
pub(crate) fn runtime() -> String {
    // A literal string of TOML.
    format!("followthrough = {{ path = '{}' }}\n", repository().join("runtime").display())
}

/// The runtime with `features` only.
pub(crate) fn runtime_with(features: &[&str]) -> String {
    let path = repository().join("runtime");
    let path = path.display();
    format!(
        "followthrough = {{ path = '{path}', default-features = false, features = {features:?} }}\n"
    )
}

impl Scratch {
    /// Writes the packages, and fetches their dependencies in the versions of the repository's lock
    /// file.
    pub(crate) fn new(name: &str, packages: &[Package<'_>]) -> Result<Self, Failure> {
        let itself = std::env::current_exe()?;
        let target = itself.ancestors().nth(2).ok_or("the program is in no target directory")?;
        let root = target.join("compile-cost").join(name);
        for package in packages {
            let folder = root.join(package.name);
            fs::create_dir_all(folder.join("src"))?;
            let (name, rest) = (package.name, package.manifest);
            let head =
                format!("[package]\nname = {name:?}\nversion = \"0.0.0\"\nedition = \"2024\"\n");
            fs::write(folder.join("Cargo.toml"), head + rest)?;
            let file = if package.source.contains("fn main") { "main.rs" } else { "lib.rs" };
            fs::write(folder.join("src").join(file), package.source)?;
        }
        let members: Vec<&str> = packages.iter().map(|package| package.name).collect();
        let workspace = format!("[workspace]\nresolver = \"3\"\nmembers = {members:?}\n");
        fs::write(root.join("Cargo.toml"), workspace)?;
        fs::copy(repository().join("Cargo.lock"), root.join("Cargo.lock"))?;
        let scratch =
            Self { target: root.join("target"), root, toolchain: None, incremental: false };
        if scratch.cargo(&["fetch", "--offline"]).stderr(Stdio::null()).status()?.success() {
            return Ok(scratch);
        }
        scratch.run(&mut scratch.cargo(&["fetch"]))?;
        Ok(scratch)
    }

    /// Returns the same packages, compiled by another toolchain.
    pub(crate) fn with_toolchain(self, toolchain: &'static str) -> Self {
        let target = self.root.join(format!("target-{}", &toolchain[1..]));
        Self { toolchain: Some(toolchain), target, ..self }
    }

    /// Returns the same packages, compiled incrementally.
    pub(crate) fn incremental(self) -> Self {
        let target = self.root.join("target-incremental");
        Self { incremental: true, target, ..self }
    }

    /// Replaces the source of the library `package`.
    pub(crate) fn write(&self, package: &str, source: &str) -> Result<(), Failure> {
        Ok(fs::write(self.root.join(package).join("src/lib.rs"), source)?)
    }

    /// Deletes the target directory.
    pub(crate) fn cold(&self) -> Result<(), Failure> {
        if self.target.exists() {
            fs::remove_dir_all(&self.target)?;
        }
        Ok(())
    }

    /// Changes a time stamp, so that cargo compiles `package` again.
    pub(crate) fn touch(&self, package: &str) -> Result<(), Failure> {
        let source = self.root.join(package).join("src/lib.rs");
        File::options().append(true).open(source)?.set_modified(SystemTime::now())?;
        Ok(())
    }

    /// Runs cargo in the workspace. Returns the time of each compiler run.
    pub(crate) fn compile(&self, arguments: &[&str]) -> Result<Vec<Run>, Failure> {
        let log = self.root.join("times");
        fs::write(&log, "")?;
        let mut command = self.cargo(arguments);
        command.arg("--frozen");
        command.env("RUSTC_WRAPPER", std::env::current_exe()?).env(cpu::LOG, &log);
        self.run(&mut command)?;
        cpu::read(&log)
    }

    /// Builds the program of `package` as it is released, without symbols, and returns its size in bytes.
    pub(crate) fn size_of(&self, package: &str) -> Result<u64, Failure> {
        let mut command = self.cargo(&["build", "--release", "--frozen", "--package", package]);
        self.run(command.env("CARGO_PROFILE_RELEASE_STRIP", "true"))?;
        Ok(fs::metadata(self.target.join("release").join(package))?.len())
    }

    /// Runs cargo in the workspace. Returns the output of the compilers.
    pub(crate) fn said(&self, arguments: &[&str]) -> Result<String, Failure> {
        let output = self.cargo(arguments).output()?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        if output.status.success() { Ok(said) } else { Err(said.into()) }
    }

    /// Compiles `package` alone, from scratch unless the workspace is incremental; its dependencies are built.
    pub(crate) fn recompile(&self, how: &str, package: &str) -> Result<f64, Failure> {
        self.touch(package)?;
        let runs = self.compile(&[how, "--package", package])?;
        match runs.as_slice() {
            [run] => Ok(run.seconds),
            runs => {
                Err(format!("{} compilers ran for `{package}`; expected one", runs.len()).into())
            }
        }
    }

    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = match self.toolchain {
            None => Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())),
            Some(toolchain) => {
                let mut command = Command::new("cargo");
                command.arg(toolchain);
                command
            }
        };
        command.args(arguments).current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        // Without incremental compilation, a second run has to repeat the work of the first.
        command.env("CARGO_INCREMENTAL", if self.incremental { "1" } else { "0" });
        command
    }

    #[expect(clippy::unused_self, reason = "it reads as an operation of the workspace")]
    fn run(&self, command: &mut Command) -> Result<(), Failure> {
        let output = command.output()?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!("cargo failed:\n{}", String::from_utf8_lossy(&output.stderr)).into())
    }
}
