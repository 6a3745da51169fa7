//! A headless Chromium, driven by WebDriver.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::child::{As, Child, Scratch};
use crate::http::Head;
use crate::port;
use crate::wait::wait_until;

/// A machine that is busy with other tests may take so long to start a browser, or to answer.
const PATIENCE: Duration = Duration::from_secs(40);

/// Flags of a Chromium without a head that talks to nobody but us.
pub(crate) const HEADLESS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
];

/// A browser with one page. Killed when dropped, with the driver.
#[derive(Debug)]
pub struct Browser {
    driver: SocketAddr,
    session: String,
    _chromium: Child,
    _chromedriver: Child,
    _scratch: Scratch,
}

impl Browser {
    /// Starts one.
    ///
    /// # Errors
    /// If Chromium or its driver does not start.
    pub async fn start() -> Result<Self> {
        let scratch = Scratch::new("browser")?;
        let profile = scratch.file("profile");
        // Started here and not by the driver, so that it ends with the test.
        let profile_flag = format!("--user-data-dir={}", profile.display());
        let page = ["--window-size=1200,1000", &profile_flag, "about:blank"];
        let args = [&["chromium"], &HEADLESS[..], &page].concat();
        let args: Vec<_> = args.into_iter().map(str::to_owned).collect();
        let chromium = Child::start(As::Me, &args, &scratch.file("chromium.log"))?;
        let port = wait_until("Chromium's debugging port", PATIENCE, async || {
            let text = std::fs::read_to_string(profile.join("DevToolsActivePort")).ok()?;
            text.lines().next()?.parse::<u16>().ok()
        })
        .await;
        let driver = port::free();
        let args = [
            "chromedriver".to_owned(),
            format!("--port={}", driver.port()),
        ];
        let chromedriver = Child::start(As::Me, &args, &scratch.file("chromedriver.log"))?;
        let ready = format!("GET /status HTTP/1.1\r\nHost: {driver}\r\n\r\n");
        wait_until("the driver", PATIENCE, async || {
            talk(driver, ready.as_bytes()).await.ok()
        })
        .await;
        let mut browser = Self {
            driver,
            session: String::new(),
            _chromium: chromium,
            _chromedriver: chromedriver,
            _scratch: scratch,
        };
        let options = json!({"debuggerAddress": format!("127.0.0.1:{port}")});
        let wanted = json!({
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"},
        });
        let session = browser
            .ask(
                "POST",
                "/session",
                &json!({"capabilities": {"alwaysMatch": wanted}}),
            )
            .await?;
        let id = session["sessionId"].as_str().context("no session")?;
        browser.session = format!("/session/{id}");
        Ok(browser)
    }

    async fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let body = if method == "POST" {
            body.to_string()
        } else {
            String::new()
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.driver,
            body.len()
        );
        let talk = talk(self.driver, request.as_bytes());
        let (head, bytes) = tokio::time::timeout(PATIENCE, talk)
            .await
            .with_context(|| format!("{method} {path}: no answer"))??;
        let answer: Value = serde_json::from_slice(&bytes[head.len..])
            .with_context(|| format!("{method} {path}: {}", String::from_utf8_lossy(&bytes)))?;
        if head.status != 200 {
            bail!("{method} {path}: {answer}");
        }
        Ok(answer["value"].clone())
    }

    /// Goes to a page and waits until it is loaded.
    ///
    /// # Errors
    /// If it cannot be loaded.
    pub async fn go(&self, url: &str) -> Result<()> {
        let path = format!("{}/url", self.session);
        self.ask("POST", &path, &json!({"url": url})).await?;
        Ok(())
    }

    /// What a script returns.
    ///
    /// # Errors
    /// If it throws.
    pub async fn run(&self, script: &str) -> Result<Value> {
        let path = format!("{}/execute/sync", self.session);
        self.ask("POST", &path, &json!({"script": script, "args": []}))
            .await
    }

    /// Clicks as a person does, on what a CSS selector finds first.
    ///
    /// # Errors
    /// If there is nothing, or something lies over it.
    pub async fn click(&self, selector: &str) -> Result<()> {
        let path = format!("{}/element", self.session);
        let found = json!({"using": "css selector", "value": selector});
        let element = self.ask("POST", &path, &found).await?;
        let id = element
            .as_object()
            .and_then(|element| element.values().next()?.as_str());
        let path = format!(
            "{}/element/{}/click",
            self.session,
            id.context("no element")?
        );
        self.ask("POST", &path, &json!({})).await?;
        Ok(())
    }

    /// The text of a dialog that a page has opened.
    pub async fn dialog(&self) -> Option<String> {
        let path = format!("{}/alert/text", self.session);
        let text = self.ask("GET", &path, &Value::Null).await.ok()?;
        Some(text.as_str().unwrap_or_default().to_owned())
    }

    /// What the console was told since the last time.
    ///
    /// # Errors
    /// If the driver does not say.
    pub async fn console(&self) -> Result<Vec<String>> {
        let path = format!("{}/se/log", self.session);
        let lines = self.ask("POST", &path, &json!({"type": "browser"})).await?;
        let lines = lines.as_array().into_iter().flatten();
        Ok(lines
            .map(|line| format!("{} {}", line["level"], line["message"]))
            .collect())
    }

    /// The size of what is seen, and light or dark.
    ///
    /// # Errors
    /// If the driver refuses.
    pub async fn look(&self, width: u32, height: u32, scheme: &str) -> Result<()> {
        let path = format!("{}/goog/cdp/execute", self.session);
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        let size = json!({"cmd": "Emulation.setDeviceMetricsOverride", "params": size});
        self.ask("POST", &path, &size).await?;
        let scheme = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        let scheme = json!({"cmd": "Emulation.setEmulatedMedia", "params": scheme});
        self.ask("POST", &path, &scheme).await?;
        Ok(())
    }

    /// What is seen, as PNG.
    ///
    /// # Errors
    /// If the driver gives none.
    pub async fn picture(&self) -> Result<Vec<u8>> {
        let path = format!("{}/screenshot", self.session);
        let png = self.ask("GET", &path, &Value::Null).await?;
        let text = png.as_str().context("no picture")?;
        Ok(base64::engine::general_purpose::STANDARD.decode(text)?)
    }

    /// Polls a script until it returns true.
    ///
    /// # Panics
    /// If it does not in time.
    pub async fn wait(&self, what: &str, script: &str) {
        wait_until(what, PATIENCE, async || {
            let value = self.run(script).await.ok()?;
            (value == Value::Bool(true)).then_some(())
        })
        .await;
    }
}

/// One request and its answer, by its length: the driver keeps connections.
async fn talk(driver: SocketAddr, request: &[u8]) -> Result<(Head, Vec<u8>)> {
    let mut socket = TcpStream::connect(driver).await?;
    socket.write_all(request).await?;
    let mut bytes = Vec::new();
    loop {
        if let Some(head) = Head::parse(&bytes)? {
            let length: usize = head.get("Content-Length").unwrap_or("0").parse()?;
            if bytes.len() >= head.len + length {
                return Ok((head, bytes));
            }
        }
        if socket.read_buf(&mut bytes).await? == 0 {
            bail!(
                "the driver closed after {:?}",
                String::from_utf8_lossy(&bytes)
            );
        }
    }
}
