//! A headless Chromium, told what to do by the `DevTools` protocol over a pipe.

use std::{fs::File, io::Write, net::SocketAddr, path::Path, process::Stdio, time::Duration};

use followthrough_tests::soon;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// The flags of a browser without a network, a sandbox and a screen.
const FLAGS: &str = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-dev-shm-usage \
     --disable-background-networking --disable-component-update --disable-sync --disable-extensions --hide-scrollbars";

/// A browser with one page, which runs until the value is dropped.
#[derive(Debug)]
pub struct Chromium {
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    calls: u64,
    session: Option<String>,
    _process: Child,
    _dir: TempDir,
}

impl Chromium {
    /// Starts the browser, and opens the live page of the service at `operations`.
    ///
    /// # Panics
    ///
    /// If the installed program does not start.
    pub async fn open(operations: SocketAddr, scheme: &str) -> Self {
        let dir = TempDir::new().expect("a directory can be made");
        // The browser reads messages from descriptor 3 and writes to descriptor 4.
        let script = format!(
            "exec chromium {FLAGS} --remote-debugging-pipe --user-data-dir='{}' 3<&0 4>&1 </dev/null >/dev/null 2>&1",
            dir.path().display()
        );
        let mut process = Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("there is a shell");
        let to = process.stdin.take().expect("it is piped");
        let from = BufReader::new(process.stdout.take().expect("it is piped"));
        let mut page = Self { to, from, calls: 0, session: None, _process: process, _dir: dir };
        let target = page.call("Target.createTarget", json!({ "url": "about:blank" })).await;
        let target = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = page.call("Target.attachToTarget", target).await;
        page.session = attached["sessionId"].as_str().map(str::to_owned);
        let size = json!({ "width": 1240, "height": 960, "deviceScaleFactor": 1, "mobile": false });
        page.call("Emulation.setDeviceMetricsOverride", size).await;
        let scheme = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        page.call("Emulation.setEmulatedMedia", scheme).await;
        let url = format!("http://{operations}/live");
        page.call("Page.navigate", json!({ "url": url })).await;
        page
    }

    /// Evaluates an expression in the page.
    ///
    /// # Panics
    ///
    /// If the expression throws.
    pub async fn evaluate(&mut self, expression: &str) -> Value {
        let expression = json!({ "expression": expression, "returnByValue": true });
        let mut answer = self.call("Runtime.evaluate", expression).await;
        assert!(answer["exceptionDetails"].is_null(), "{answer}");
        answer["result"]["value"].take()
    }

    /// Waits until an expression is true.
    pub async fn until(&mut self, expression: &str) {
        soon(&format!("the page: {expression}"), async {
            while self.evaluate(expression).await != Value::Bool(true) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }

    /// Writes a picture of the page as PNG.
    ///
    /// # Panics
    ///
    /// If the file cannot be written.
    pub async fn screenshot(&mut self, path: &Path) {
        let picture = self.call("Page.captureScreenshot", json!({ "format": "png" })).await;
        let picture = picture["data"].as_str().expect("a picture").to_owned();
        let file = File::create(path).expect("the path is writable");
        let mut decoder = std::process::Command::new("base64");
        let decoder = decoder.arg("-d").stdin(Stdio::piped()).stdout(file).spawn();
        let mut decoder = decoder.expect("coreutils are installed");
        let mut input = decoder.stdin.take().expect("it is piped");
        input.write_all(picture.as_bytes()).expect("it reads");
        drop(input);
        decoder.wait().expect("it ends");
    }

    /// Calls a method of the protocol and returns its result.
    async fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.calls += 1;
        let mut message = json!({ "id": self.calls, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.to.write_all(format!("{message}\0").as_bytes()).await.expect("the browser reads");
        soon(method, async {
            loop {
                let mut answer = Vec::new();
                self.from.read_until(0, &mut answer).await.expect("the browser answers");
                assert_eq!(answer.pop(), Some(0), "the browser ended before it answered {method}");
                let mut answer: Value = serde_json::from_slice(&answer).expect("it is JSON");
                if answer["id"] == self.calls {
                    assert!(answer["error"].is_null(), "{method}: {answer}");
                    return answer["result"].take();
                }
            }
        })
        .await
    }
}
