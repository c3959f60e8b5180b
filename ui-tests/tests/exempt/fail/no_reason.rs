use followthrough::exempt;

#[exempt]
async fn bare() {}

#[exempt()]
async fn empty() {}

#[exempt(reason = "")]
async fn blank() {}

#[exempt(reason = 3)]
async fn not_text() {}

#[exempt("a probe")]
async fn unnamed() {}

fn main() {}
