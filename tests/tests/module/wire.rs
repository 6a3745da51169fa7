//! Requests as they should not be. What the server's own parser made of them has to stay.

use futures_util::{StreamExt as _, stream};
use icecast_ext_tests::icy;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;

/// `|` is the end of a line.
const REQUESTS: [&str; 56] = [
    // Those that lead to the stream, or look like it.
    "GET  /a.mp3 HTTP/1.0||",
    "get /a.mp3 HTTP/1.0||",
    "GET /a.mp3 HTTP/9.9zz||",
    "GET /a.mp3||",
    "GET /a.mp3 HTTP/1.0\n\n",
    "GET /a.mp3 HTTP/1.1\nHost: a\nIcy-MetaData: 1\n\n",
    "GET /a.mp3 HTTP/1.0\r\r\n\r\r\n",
    "GET /%61.mp3 HTTP/1.0||",
    "GET /a.mp3%00 HTTP/1.0||",
    "GET /a.mp3%00x HTTP/1.0||",
    "GET /a.mp3?a=b&c HTTP/1.0||",
    "GET /a.mp3# HTTP/1.0||",
    "GET //a.mp3 HTTP/1.0||",
    "GET /./a.mp3 HTTP/1.0||",
    "GET /A.mp3 HTTP/1.0||",
    "GET /a.mp3/ HTTP/1.0||",
    "GET a.mp3 HTTP/1.0||",
    "GET http://radio.example/a.mp3 HTTP/1.1|Host: radio.example||",
    "GET /a.mp3 HTTP/1.1||",
    "GET /a.mp3 HTTP/1.1|Host: a|Host: b|Range: bytes=0-99||",
    "GET /a.mp3 HTTP/1.1|Host: a|Icy-MetaData: 1|Icy-MetaData: 0||",
    "GET /a.mp3 HTTP/1.1|Host: a|Icy-MetaData : 1||",
    "GET /a.mp3 HTTP/1.1|Host: a| Icy-MetaData: 1|nonsense|: x||",
    "GET /a.mp3 HTTP/1.1|Host: a|Content-Length: 5||abcde",
    "GET /a.mp3 HTTP/1.1|20 FIELDSIcy-MetaData: 1||",
    "GET /a.mp3 HTTP/1.1|40 FIELDSIcy-MetaData: 1||",
    "GET /a.mp3 HTTP/1.1|3900 BYTES|",
    "GET /a.mp3 HTTP/1.1|4500 BYTES|",
    // Those that do not.
    "|GET /a.mp3 HTTP/1.0||",
    "||",
    "\n\n",
    "GET||",
    "GET ||",
    "GET /style.css HTTP/1.0||",
    "GET /../etc/passwd HTTP/1.0||",
    "GET /%2e%2e/etc/passwd HTTP/1.0||",
    "GET * HTTP/1.1||",
    "HEAD /status-json.xsl HTTP/1.1|Host: a||",
    "OPTIONS /status-json.xsl HTTP/1.1|Host: a||",
    "OPTIONS * HTTP/1.1|Host: a||",
    "POST /a.mp3 HTTP/1.1|Host: a|Content-Length: 3||a=b",
    "POST /none HTTP/1.1|Host: a||",
    "DELETE /a.mp3 HTTP/1.1|Host: a||",
    "STATS / HTTP/1.0||",
    "NONSENSE /a.mp3 HTTP/1.1||",
    "CONNECT a:80 HTTP/1.1||",
    "\0\0\0\0||",
    "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0||",
    "hackme|icy-name:a||",
    "SOURCE /b.mp3 HTTP/1.0||",
    "SOURCE /a.mp3 HTTP/1.0|Authorization: AUTH|Content-Type: audio/mpeg||",
    "PUT /b.mp3 HTTP/1.1|Authorization: AUTH||",
    "PUT /c.mp3 HTTP/1.1|Authorization: AUTH|Content-Type: no/such||",
    // Those that never end.
    "GET /a.mp3 HTTP/1.0|X: ",
    "G",
    "",
];

/// What comes back from a request that is sent piece by piece: an answer, a stream, or nothing.
async fn comes_back(icecast: &Icecast, request: &str, piece: usize) -> String {
    let mut socket = TcpStream::connect(icecast.addr()).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let mut bytes = Vec::new();
    let talk = async {
        for part in request.as_bytes().chunks(piece) {
            socket.write_all(part).await?;
            if piece < request.len() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        while socket.read_buf(&mut bytes).await? > 0 && bytes.len() < 90_000 {}
        std::io::Result::Ok(())
    };
    let end = match tokio::time::timeout(Duration::from_secs(4), talk).await {
        Ok(Ok(())) => "closed".to_owned(),
        Ok(Err(error)) => format!("{:?}", error.kind()),
        Err(_) => "open".to_owned(),
    };
    let Ok(Some(head)) = Head::parse(&bytes) else {
        return format!("{:?} {end}", String::from_utf8_lossy(&bytes));
    };
    let body = bytes.split_off(head.len);
    if head.get("Content-Type") == Some("audio/mpeg") {
        let audio = match head.metaint() {
            Some(metaint) => icy::split(&body, metaint).0,
            None => body,
        };
        return format!("{}\nstream {}", seen::live(&head), order(&pieces(&audio)));
    }
    let answer = Answer { head, body };
    let text = format!("{}{} {end}", seen::whole(&answer), answer.text());
    seen::plain(&text, icecast)
}

#[tokio::test(flavor = "multi_thread")]
async fn strange_requests_have_the_answers_they_always_had() {
    twice("strange requests", async |run| {
        let setup = Setup {
            limits: "<header-timeout>2</header-timeout>".to_owned(),
            ..run.setup()
        };
        let icecast = run.start(setup).await;
        let _a = air(&icecast, "/a.mp3", 1).await;
        let auth = http::basic("source", PASSWORD);
        let requests = REQUESTS.map(|request| {
            let request = request.replace('|', "\r\n").replace("AUTH", &auth);
            let long = |length| format!("X: {}\r\n", "y".repeat(length));
            let request = request.replace("20 FIELDS", &long(1).repeat(20));
            let request = request.replace("40 FIELDS", &long(1).repeat(40));
            let request = request.replace("3900 BYTES", &long(3900));
            request.replace("4500 BYTES", &long(4500))
        });
        // The server's backlog is five.
        let answers = requests
            .iter()
            .map(|request| comes_back(&icecast, request, usize::MAX));
        let answers: Vec<_> = stream::iter(answers).buffered(5).collect().await;
        let mut seen = Seen::new();
        let (mut streams, mut answered) = (0, 0);
        for (request, answer) in REQUESTS.iter().zip(answers) {
            streams += usize::from(answer.ends_with("stream 1"));
            answered += usize::from(answer.starts_with("HTTP"));
            seen.is(format!("{request:?}"), answer);
        }
        let in_pieces = "GET /a.mp3 HTTP/1.1\r\nHost: radio.example\r\nIcy-MetaData: 1\r\n\r\n";
        seen.is("byte by byte", comes_back(&icecast, in_pieces, 1).await);
        let count = requests.len();
        seen.in_short(format!(
            "{count} requests: {streams} streams, {answered} answers"
        ));
        run.end(icecast, seen)
    })
    .await;
}
