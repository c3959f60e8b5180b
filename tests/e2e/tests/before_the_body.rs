//! Before the body of a handler begins: the deadline, the shutdown and a client that leaves end the wait for
//! middleware, for extractors and for the bytes of an upload (law 3).

#[path = "before_the_body/deadlines.rs"]
mod deadlines;
#[path = "before_the_body/disconnects.rs"]
mod disconnects;
#[path = "before_the_body/handlers.rs"]
mod handlers;
#[path = "before_the_body/shutdown.rs"]
mod shutdown;
#[path = "before_the_body/slow_uploads.rs"]
mod slow_uploads;
