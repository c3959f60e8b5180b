//! Before the body of a handler begins, the deadline, the shutdown and a disconnect end the wait
//! for middleware, for extractors and for the bytes of an upload (law 3).

mod deadlines;
mod disconnects;
mod handlers;
mod shutdown;
mod slow_uploads;
