//! Installs the load generator, and the peers with their toolchains.

use std::{fs, path::Path, process::Command};

use super::servers::{Kind, Places, Server};

const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers");
/// The limit in seconds, enough for a toolchain over a slow line.
const LIMIT: &str = "300";

/// Installs the load generator if it is missing.
pub(crate) fn h2load() -> Result<(), String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/e2e/proxies/install.sh");
    run("install.sh h2load", Command::new("bash").arg(script).arg("h2load"))
}

/// Builds or installs `server`, unless it is part of this program.
pub(super) fn server(server: &Server, places: &Places) -> Result<(), String> {
    match server.kind {
        Kind::Bare | Kind::Ours => Ok(()),
        Kind::Cargo(binary, _) => cargo(binary, places),
        Kind::Go => go(places),
        Kind::Fastify => fastify(places),
    }
}

/// Builds one binary at a time, so that a failed one does not prevent the others.
fn cargo(binary: &str, places: &Places) -> Result<(), String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--release", "--locked", "--bin", binary]);
    command.arg("--manifest-path").arg(Path::new(PEERS).join("Cargo.toml"));
    run("cargo build", command.arg("--target-dir").arg(places.target()))
}

/// Installs the Go toolchain as a Python package, into an environment of its own.
fn go(places: &Places) -> Result<(), String> {
    let source = Path::new(PEERS).join("go");
    let environment = places.scratch().join("go");
    if !environment.join("bin/pip").exists() {
        run("python3 -m venv", bounded("python3").args(["-m", "venv"]).arg(&environment))?;
    }
    let mut pip = bounded(environment.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    run("pip install", pip.arg(source.join("requirements.txt")))?;
    let mut build = bounded(environment.join("bin/go"));
    // The build must download neither another toolchain nor a module.
    build.env("GOTOOLCHAIN", "local").env("GOPROXY", "off").env_remove("GOFLAGS");
    build.env("GOCACHE", environment.join("cache")).env("GOPATH", environment.join("path"));
    build.current_dir(source).args(["build", "-o"]).arg(places.go_server()).arg(".");
    run("go build", &mut build)
}

/// Installs into a copy, so that the sources get no `node_modules`.
fn fastify(places: &Places) -> Result<(), String> {
    let (source, copy) = (Path::new(PEERS).join("fastify"), places.fastify());
    let failed = |error| format!("cannot copy to {}: {error}", copy.display());
    fs::create_dir_all(&copy).map_err(failed)?;
    let lock = "package-lock.json";
    let is_installed = copy.join("node_modules/fastify").exists()
        && matches!((fs::read(source.join(lock)), fs::read(copy.join(lock))), (Ok(a), Ok(b)) if a == b);
    for file in ["package.json", lock, "server.js"] {
        fs::copy(source.join(file), copy.join(file)).map_err(failed)?;
    }
    run("node", Command::new("node").arg("--version"))?;
    if is_installed {
        return Ok(());
    }
    let mut npm = bounded("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
    run("npm ci", npm.current_dir(&copy))
}

fn bounded(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", LIMIT]).arg(program);
    command
}

/// Runs a command to its end. The error goes into a published note, so it has no path of this
/// machine except those that the command prints.
fn run(what: &str, command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("cannot run `{what}`: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    // Compilers print the fault first, and at last that they failed; other programs end with the
    // reason.
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    let reason = lines().find(|line| line.starts_with("error")).or_else(|| lines().next_back());
    Err(format!("`{what}`: {}, {}", output.status, reason.unwrap_or("no reason given")))
}
