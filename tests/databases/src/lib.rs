//! A `PostgreSQL` server that the tests start.
//!
//! Each test binary starts one server from Debian's package, in a private directory and on a free
//! port of loopback. The server ends with the process, because `server.sh` exits when its standard
//! input closes.

use std::{
    io::{self, BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use deadpool_postgres::{
    Manager, Runtime,
    tokio_postgres::{Client, Config, NoTls},
};
use followthrough_postgres::Pool;
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

/// The server of this process.
#[derive(Debug)]
pub struct Postgres {
    /// The port that the server listens on.
    pub port: u16,
    /// The directory of the server's Unix socket.
    pub dir: String,
    // The server runs until its standard input closes.
    _server: Child,
}

/// Starts the server once for the process. Returns `None`, and prints the reason, if no server can
/// be installed.
///
/// # Panics
///
/// If the installed server does not start.
pub fn postgres() -> Option<&'static Postgres> {
    static SERVER: OnceLock<Result<Postgres, String>> = OnceLock::new();
    let server = SERVER.get_or_init(|| {
        installed()?;
        // Another process may take the port before the server binds it.
        let started = (0..3).find_map(|_| Postgres::start());
        Ok(started.expect("an installed program starts"))
    });
    if let Err(reason) = server {
        // The test runner hides the output of `println!` when a test passes.
        let _ = writeln!(io::stderr(), "skipped: {reason}");
    }
    server.as_ref().ok()
}

fn installed() -> Result<(), String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../e2e/proxies/install.sh");
    let output = Command::new("bash").arg(script).arg("pg_ctl").stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("cannot run {script}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.trim().lines().last().unwrap_or("the install script failed").to_owned())
}

impl Postgres {
    fn start() -> Option<Self> {
        let port = followthrough_tests::free_port();
        let mut command = if rustix::process::geteuid().is_root() {
            // The server refuses to run as root. The package creates the user.
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--", "sh"]);
            command
        } else {
            Command::new("sh")
        };
        command.args(["-c", include_str!("server.sh"), "server"]).arg(port.to_string());
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut server = command.spawn().expect("there is a shell");
        let mut dir = String::new();
        let said = server.stdout.take().expect("it is piped");
        BufReader::new(said).read_line(&mut dir).expect("it speaks UTF-8");
        let dir = dir.trim().to_owned();
        (!dir.is_empty()).then_some(Self { port, dir, _server: server })
    }

    /// Returns the settings of a connection whose activity is listed under `name`.
    pub fn config(&self, name: &str) -> Config {
        let mut config = Config::new();
        config.host("127.0.0.1").port(self.port).user("postgres").application_name(name);
        config
    }

    /// Returns a pool of deadpool with its `Fast` recycling.
    ///
    /// # Panics
    ///
    /// Never: the settings are valid.
    pub fn plain_pool(&self, name: &str, size: usize) -> deadpool_postgres::Pool {
        pool(&self.config(name), size)
    }

    /// Returns the pool under test.
    pub fn pool(&self, name: &str, size: usize) -> Pool {
        Pool::new(self.plain_pool(name, size), &self.config(name), NoTls)
    }

    /// Returns a pool of sqlx.
    ///
    /// # Panics
    ///
    /// Outside of a runtime.
    pub fn sqlx_pool(&self, name: &str, size: u32) -> PgPool {
        let options = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.port)
            .username("postgres")
            .application_name(name);
        PgPoolOptions::new().max_connections(size).connect_lazy_with(options)
    }

    /// Opens a connection outside of the pools, to inspect the server.
    ///
    /// # Panics
    ///
    /// If the connection fails.
    pub async fn inspector(&self) -> Inspector {
        let (client, connection) =
            self.config("inspector").connect(NoTls).await.expect("the server accepts");
        drop(tokio::spawn(connection));
        Inspector { client }
    }
}

/// Returns a pool of `size` connections.
///
/// # Panics
///
/// Never: the settings are valid.
pub fn pool(config: &Config, size: usize) -> deadpool_postgres::Pool {
    let builder = deadpool_postgres::Pool::builder(Manager::new(config.clone(), NoTls))
        .max_size(size)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(Duration::from_secs(30)));
    builder.build().expect("the settings are sound")
}

/// Waits for `time` with a precision of microseconds, because tokio's timers have a precision of
/// milliseconds.
pub async fn moment(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        tokio::task::yield_now().await;
    }
}

/// A connection that inspects the server.
#[derive(Debug)]
pub struct Inspector {
    /// The connection.
    pub client: Client,
}

impl Inspector {
    /// Returns the state and the current statement of each backend of `name`.
    ///
    /// # Panics
    ///
    /// If the query fails.
    pub async fn activity(&self, name: &str) -> Vec<(String, String)> {
        let rows = self
            .client
            .query(
                "SELECT coalesce(state, ''), query FROM pg_stat_activity WHERE application_name = $1",
                &[&name],
            )
            .await
            .expect("the server answers");
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// Waits until a backend of `name` sleeps within a statement that contains `text`. The state
    /// `active` alone is not enough, because it also covers parsing.
    ///
    /// # Panics
    ///
    /// If no backend does so soon.
    pub async fn until_active(&self, name: &str, text: &str) {
        let sleeping = "SELECT query FROM pg_stat_activity \
                        WHERE application_name = $1 AND wait_event = 'PgSleep'";
        followthrough_tests::soon(text, async {
            loop {
                let rows = self.client.query(sleeping, &[&name]).await.expect("the server answers");
                if rows.iter().any(|row| row.get::<_, &str>(0).contains(text)) {
                    return;
                }
            }
        })
        .await;
    }

    /// Creates a table of ids whose rows take `seconds` to commit.
    ///
    /// # Panics
    ///
    /// If a table of that name exists.
    pub async fn slow_to_commit(&self, name: &str, seconds: f64) {
        let slow = format!(
            "CREATE TABLE {name} (id bigint);
             CREATE FUNCTION {name}_slow() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN PERFORM pg_sleep({seconds}); RETURN NULL; END $$;
             CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON {name}
             DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {name}_slow();"
        );
        self.client.batch_execute(&slow).await.expect("the table is new");
    }

    /// Returns the single value that `query` selects.
    ///
    /// # Panics
    ///
    /// If the query fails.
    pub async fn value(&self, query: &str) -> i64 {
        self.client.query_one(query, &[]).await.expect("the server answers").get(0)
    }
}
