//! Clients that leave: how soon the server notices them, before and within the body of a handler
//! and behind a proxy, and how it tells them from the end of a request.

mod before_the_body;
mod ended_or_left;
mod noticed;
mod through_proxies;
