//! `PostgreSQL`, NATS, `HAProxy` and three instances of the service on loopback.

use std::{
    collections::{BTreeMap, VecDeque},
    net::{SocketAddr, TcpListener},
    process::Stdio,
    time::Duration,
};

use followthrough_broker_tests::Nats;
use followthrough_database_tests::postgres;
use followthrough_tests::{
    Exit, Process, Signal,
    proxy::{Make, Proxy},
    soon,
};
use tokio::{
    io::AsyncReadExt as _,
    process::Command,
    signal::unix::{SignalKind, signal},
    time::sleep,
};

use crate::{Verdict, client::Client, service, without};

/// How often `HAProxy` asks `/ready`, and how long the port of an instance stays open after SIGTERM: ten checks.
const CHECKS: &str = "100ms";
const DRAIN_DELAY_MS: &str = "1000";

/// The settings of `HAProxy` beside those of the guide. A connection that is refused goes to another instance, and
/// `HAProxy` repeats no request that an instance may have received.
const SETTINGS: &str = "mode http
    option redispatch
    retry-on conn-failure
    option httpchk GET /ready
    http-check expect status 200
    timeout check 2s
    stats uri /haproxy
";

/// The running cluster. Its processes end with the value, or with this process.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// The URLs of the servers.
    pub(crate) database: String,
    pub(crate) nats: String,
    /// The instance that is replaced next comes first.
    instances: VecDeque<Process>,
    proxy: Proxy,
    _nats: Nats,
}

/// An instance that was replaced.
#[derive(Debug)]
pub(crate) struct Replaced {
    pub(crate) exit: Exit,
    /// Whether `HAProxy` saw that `/ready` failed, before the port was closed.
    pub(crate) was_announced: bool,
}

impl Cluster {
    /// Starts all processes, and waits until each instance is ready. Returns the program that cannot be installed, if
    /// there is one.
    pub(crate) async fn start() -> Result<Self, &'static str> {
        let postgres = postgres().ok_or("PostgreSQL")?;
        let database = format!("postgres://postgres@127.0.0.1:{}/postgres", postgres.port);
        let server = Nats::start().ok_or("NATS")?;
        let nats = server.url();
        service::migrate(&database, &nats).await.expect("the servers accept");
        let [first, second, third] = free_addresses();
        let (one, two, three) = tokio::join!(
            start_instance(first, &database, &nats),
            start_instance(second, &database, &nats),
            start_instance(third, &database, &nats),
        );
        let instances = VecDeque::from([one, two, three]);
        let servers = [first, second, third]
            .map(|at| format!("server {} {at} check inter {CHECKS} fall 1 rise 1", name(at)));
        let servers = servers.join("\n    ");
        let edits = [("server first @service@", servers.as_str()), ("mode http\n", SETTINGS)];
        let proxy = Proxy::start(Make::Haproxy, first, &edits).await.ok_or("HAProxy")?;
        let cluster = Self { database, nats, instances, proxy, _nats: server };
        for at in [first, second, third] {
            cluster.until(at, |check| check.status == "UP").await;
        }
        Ok(cluster)
    }

    /// Returns the address of `HAProxy`.
    pub(crate) fn at(&self) -> SocketAddr {
        self.proxy.at
    }

    /// Replaces the oldest instance: SIGTERM, its drain, a new process on the same port, and the new process is ready.
    pub(crate) async fn replace(&mut self) -> Replaced {
        let old = self.instances.pop_front().expect("three run");
        let at = old.at;
        let since = old.signal(Signal::TERM);
        let down = self.until(at, |check| check.status != "UP").await;
        let exit = old.exit(since).await;
        self.instances.push_back(start_instance(at, &self.database, &self.nats).await);
        self.until(at, |check| check.status == "UP").await;
        Replaced { exit, was_announced: down.code == "503" }
    }

    /// Drains all instances at once.
    pub(crate) async fn drain(&mut self) -> Vec<Exit> {
        let signalled = self.instances.drain(..).map(|each| (each.signal(Signal::TERM), each));
        let mut exits = Vec::new();
        for (since, instance) in signalled.collect::<Vec<_>>() {
            exits.push(instance.exit(since).await);
        }
        exits
    }

    /// Waits until the last check of the instance at `at` is as `wanted`.
    async fn until(&self, at: SocketAddr, wanted: impl Fn(&Check) -> bool) -> Check {
        let client = Client::new(self.at());
        soon("a check of HAProxy", async {
            loop {
                if let Ok(answer) = client.get("/haproxy;csv").await
                    && let Some(check) = Check::of(at, &answer.body)
                    && wanted(&check)
                {
                    return check;
                }
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await
    }
}

/// The last check of an instance.
#[derive(Debug, PartialEq, Eq)]
struct Check {
    /// `UP` or `DOWN`, or a step between them.
    status: String,
    /// The status of the answer; empty if there was none.
    code: String,
}

impl Check {
    /// Finds the instance at `at` in the statistics.
    fn of(at: SocketAddr, csv: &str) -> Option<Self> {
        let mut lines = csv.trim_start_matches("# ").lines();
        let columns: Vec<_> = lines.next()?.split(',').collect();
        let mut rows = lines.map(|line| columns.iter().copied().zip(line.split(',')));
        let row: BTreeMap<_, _> =
            rows.find(|row| row.clone().any(|cell| cell == ("svname", &name(at))))?.collect();
        let cell = |column| row.get(column).map(|text| (*text).to_owned());
        Some(Self { status: cell("status")?, code: cell("check_code")? })
    }
}

/// Returns the name of an instance in the configuration of `HAProxy`.
fn name(at: SocketAddr) -> String {
    format!("instance-{}", at.port())
}

async fn start_instance(at: SocketAddr, database: &str, nats: &str) -> Process {
    let program = std::env::current_exe().expect("the program has a path");
    let at = at.to_string();
    let arguments = ["serve", "--listen", &at, "--database", database, "--nats", nats];
    let arguments = [&arguments[..], &["--drain-delay-ms", DRAIN_DELAY_MS]].concat();
    Process::start(&program.to_string_lossy(), &arguments).await
}

/// Returns three free addresses outside of the range of ephemeral ports. So no connection takes the port of an instance
/// while the instance is replaced.
fn free_addresses() -> [SocketAddr; 3] {
    // Two clusters that start at once have neighbouring process ids, and begin with ports that are far apart.
    let start = u16::try_from(std::process::id() * 37 % 10_000).expect("it is below 10,000");
    let ports =
        (0..10_000).map(|n| SocketAddr::from(([127, 0, 0, 1], 10_000 + (start + n) % 10_000)));
    let free: Vec<_> = ports.filter(|at| TcpListener::bind(at).is_ok()).take(3).collect();
    free.try_into().expect("three ports are free")
}

/// Runs the cluster until SIGTERM or Ctrl-C, and drains it then.
///
/// The cluster has a process group of its own, because Ctrl-C would end NATS and `HAProxy` before the instances have
/// drained. The cluster begins its drain at the end of its standard input, so also if this process is killed.
pub(crate) async fn supervise(skip_missing: bool) -> Verdict {
    let (mut ctrl_c, mut term) =
        match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
            (Ok(ctrl_c), Ok(term)) => (ctrl_c, term),
            (Err(error), _) | (_, Err(error)) => return Err(format!("no signals: {error}")),
        };
    let program = std::env::current_exe().expect("the program has a path");
    let mut command = Command::new(program);
    command.arg("cluster").stdin(Stdio::piped()).process_group(0);
    if skip_missing {
        command.arg("--skip-missing");
    }
    let mut cluster = command.spawn().map_err(|error| format!("no process: {error}"))?;
    // `wait` would close it at once.
    let stdin = cluster.stdin.take();
    let ended = tokio::select! {
        ended = cluster.wait() => ended,
        () = async { tokio::select! { _ = ctrl_c.recv() => {} _ = term.recv() => {} } } => {
            drop(stdin);
            cluster.wait().await
        }
    };
    match ended {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("the cluster ended with {status}")),
        Err(error) => Err(format!("the cluster cannot be waited for: {error}")),
    }
}

/// Runs the cluster until the end of standard input, and drains it then.
pub(crate) async fn run(skip_missing: bool) -> Verdict {
    let mut cluster = match Cluster::start().await {
        Ok(cluster) => cluster,
        Err(program) => return without(program, skip_missing),
    };
    let at = cluster.at();
    println!(
        "listening on http://{at}\n\
         That is HAProxy in front of three instances, and http://{at}/haproxy shows them.\n\
         PostgreSQL is {}, and NATS is {}.\n\n    \
         curl http://{at}/orders -H 'x-customer: ann' -H 'idempotency-key: \"my first\"' \
         -H 'content-type: application/json' -d '{{\"item\":\"tea\"}}'\n    \
         curl http://{at}/orders/1\n\nCtrl-C drains the instances.",
        cluster.database, cluster.nats
    );
    let end = tokio::io::stdin().read_to_end(&mut Vec::new()).await;
    end.map_err(|error| format!("standard input failed: {error}"))?;
    let exits = cluster.drain().await;
    for Exit { took, report, .. } in &exits {
        println!("an instance has drained in {took:.1?}, and its report is");
        println!("{report}");
    }
    let failed = exits.iter().find(|exit| exit.code != Some(0));
    failed.map_or(Ok(()), |exit| Err(format!("an instance failed: {exit}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_of_an_instance_is_found_by_its_port() {
        let csv = "# pxname,svname,status,check_code\n\
                   clients,FRONTEND,OPEN,\n\
                   service,instance-10001,UP,200\n\
                   service,instance-10002,DOWN,503\n";
        let check = |port| Check::of(SocketAddr::from(([127, 0, 0, 1], port)), csv);
        let expected =
            |status: &str, code: &str| Check { status: status.to_owned(), code: code.to_owned() };
        assert_eq!(check(10_001), Some(expected("UP", "200")));
        assert_eq!(check(10_002), Some(expected("DOWN", "503")));
        assert_eq!(check(10_003), None);
    }
}
