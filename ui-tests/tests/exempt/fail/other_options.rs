use followthrough::exempt;

#[exempt(reason = "a probe", deadline = "10s")]
async fn deadline_option() {}

#[exempt(reason = "a probe")]
#[deadline = "10s"]
async fn deadline_below() {}

#[exempt(reason = "a probe", needs = "1s")]
async fn needs() {}

fn main() {}
