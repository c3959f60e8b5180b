//! Durable work: its limits, its compensations, and its end in another task, after its caller or
//! after its answer.

mod bodies_in_other_tasks;
mod calls_from_middleware;
mod compensations;
mod handler_limits;
mod lost_task_locals;
mod pooled_requests;
mod shared_writes;
mod unfinished_work;
