use followthrough::cancellable;

#[cancellable(read)]
#[tracing::instrument(skip_all, err)]
async fn below() -> Result<String, String> {
    Ok(String::new())
}

fn main() {}
