//! Spawns the streams of an HTTP/2 connection as tasks of that connection.

use std::sync::Arc;

use crate::{
    connection::{Connection, Task},
    layer::UpgradeTask,
};

/// The executor that hyper spawns HTTP/2 streams on. A shutdown wakes and cuts its tasks.
#[derive(Clone, Debug)]
pub(super) struct Executor {
    connection: Arc<Connection>,
}

impl Executor {
    pub(super) const fn new(connection: Arc<Connection>) -> Self {
        Self { connection }
    }
}

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        drop(tokio::spawn(Task::of_stream(UpgradeTask::new(future), self.connection.clone())));
    }
}
