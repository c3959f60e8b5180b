//! The tower service around each request, the request body it reads and the response body it returns.

mod body_times;
mod linked;
mod request_body;
mod response_body;
mod response_watch;
mod service;
mod upgraded;

#[doc(hidden)]
pub use self::linked::Linked;
pub(crate) use self::{
    body_times::BodyTimes, request_body::Upload, response_watch::ResponseWatch,
    upgraded::UpgradeTask,
};
pub use self::{
    response_body::ResponseBody,
    service::{LifecycleLayer, LifecycleService, ResponseFuture},
};
