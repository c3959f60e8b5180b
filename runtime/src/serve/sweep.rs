//! Closes the connections of peers that send nothing, or read nothing, for too long.
//!
//! A single task checks all connections periodically, so that no request needs a timer.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{runtime::Handle, task::JoinHandle};

use super::settings::Settings;
use crate::service::{ServiceState, SilenceLimits, spawn_boxed};

/// The handle of the task that sweeps; dropping it aborts the task.
pub(super) struct Sweeping(JoinHandle<()>);

impl Drop for Sweeping {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Spawns the task that sweeps the connections of `life`.
pub(super) fn sweep(life: &Arc<ServiceState>, settings: Settings) -> Sweeping {
    let life = Arc::downgrade(life);
    let limits = settings.silence_limits();
    let SilenceLimits { head, idle, write } = limits;
    let every =
        (head.min(idle).min(write) / 4).clamp(Duration::from_millis(10), Duration::from_secs(1));
    let sweeping = async move {
        while let Some(connections) = Weak::upgrade(&life).map(|life| life.connections.all()) {
            for connection in connections {
                connection.sweep(&limits);
            }
            tokio::time::sleep(every).await;
        }
    };
    Sweeping(spawn_boxed(&Handle::current(), Box::pin(sweeping)))
}
