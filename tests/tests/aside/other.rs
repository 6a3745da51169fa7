//! Programs that are no Icecast, or hardly.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Output, Stdio};

use icecast_ext_tests::child::{As, Child, Scratch};
use icecast_ext_tests::faults::compile;
use icecast_ext_tests::module::{preload, shared_object};
use icecast_ext_tests::port;
use icecast_ext_tests::wait::wait_for;

use crate::SOON;

/// Answers every request in two pieces, as often as it is told, and ends. Like Icecast it reads only what is there.
const SERVER: &str = r#"
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

const char *volatile name = NAME;

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    if (argc < 3)
        return 2;
    address.sin_port = htons(atoi(argv[1]));
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 5))
        return 3;
    for (int left = atoi(argv[2]); left > 0; left--) {
        char request[4096];
        int client = accept(listener, NULL, NULL);
        size_t had = 0;
        while (had < 4 || memcmp(request + had - 4, "\r\n\r\n", 4)) {
            struct pollfd ready = {.fd = client, .events = POLLIN};
            poll(&ready, 1, -1);
            ssize_t got = recv(client, request + had, sizeof request - had, 0);
            if (got <= 0)
                return 4;
            had += got;
        }
        const char *head = memmem(request, had, "missing", 7) ? "HTTP/1.0 404 Not Found\r\n\r\n" : "HTTP/1.0 200 OK\r\n\r\n";
        send(client, head, strlen(head), 0);
        send(client, request, had, 0);
        close(client);
    }
    printf("%s ends\n", name);
    return 0;
}
"#;

/// Such a server, with this in its program, and what it answers and says.
async fn serve(name: &str, config: &str) -> (Vec<String>, Child, Scratch) {
    let scratch = Scratch::new("other").expect("a directory");
    let program = scratch.file("server");
    compile(
        SERVER,
        &program,
        &["-D_GNU_SOURCE", &format!("-DNAME=\"{name}\"")],
    )
    .expect("it compiles");
    let file = scratch.file("module.toml");
    let config = config.replace("{dir}", &scratch.path().display().to_string());
    std::fs::write(&file, config).expect("a file");
    let addr = port::free();
    let args = [
        "/usr/bin/env".to_owned(),
        preload(&[shared_object().expect("a module")]).expect("a module"),
        format!("ICECAST_EXT_CONFIG={}", file.display()),
        program.display().to_string(),
        addr.port().to_string(),
        "3".to_owned(),
    ];
    let mut child = Child::start(As::Nobody, &args, &scratch.file("output")).expect("it starts");
    let mut answers = Vec::new();
    for path in ["/live.mp3", "/missing", "/live.mp3?_shift=3"] {
        answers.push(ask(addr, path).await);
    }
    assert_eq!(child.wait(), Some(0), "{}", child.output());
    (answers, child, scratch)
}

async fn ask(addr: SocketAddr, path: &str) -> String {
    let mut socket = None;
    wait_for("the server", SOON, || {
        socket = TcpStream::connect(addr).ok();
        socket.is_some()
    })
    .await;
    let mut socket = socket.expect("waited for");
    let request = format!("GET {path} HTTP/1.0\r\n\r\n");
    socket.write_all(request.as_bytes()).expect("a connection");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("a connection");
    answer
}

/// What it answers without the module: it sends the request back.
fn stock() -> [&'static str; 3] {
    [
        "HTTP/1.0 200 OK\r\n\r\nGET /live.mp3 HTTP/1.0\r\n\r\n",
        "HTTP/1.0 404 Not Found\r\n\r\nGET /missing HTTP/1.0\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\nGET /live.mp3?_shift=3 HTTP/1.0\r\n\r\n",
    ]
}

#[tokio::test]
async fn a_server_that_is_not_known_is_left_alone() {
    let (answers, child, scratch) = serve("Icecast 3.0.0", crate::LOG).await;
    assert_eq!(answers, stock());
    let output = child.output();
    assert!(output.contains("is not Icecast 2.4"), "{output}");
    assert_eq!(output.matches("stands aside").count(), 1, "{output}");
    assert!(!scratch.file("module.log").exists());
}

#[tokio::test]
async fn without_libssl_and_libogg_their_streams_pass_through_and_that_is_said() {
    let (answers, child, scratch) = serve("Icecast 2.4.9", crate::LOG).await;
    let mut stock = stock().map(str::to_owned);
    // The query is ours, and no server sees it.
    stock[2] = stock[2].replace("?_shift=3", "");
    assert_eq!(answers, stock);
    assert_eq!(child.output(), "Icecast 2.4.9 ends\n");
    let log = std::fs::read_to_string(scratch.file("module.log")).unwrap();
    for said in ["TLS passes through", "Ogg Vorbis passes through", "at work"] {
        assert_eq!(log.matches(said).count(), 1, "{said}: {log}");
    }
    assert!(!log.contains("stands aside"), "{log}");
}

/// A program with the module, and without.
fn run(args: &[&str], stderr: impl Fn() -> Stdio) -> [Output; 2] {
    [true, false].map(|with| {
        let mut command = Command::new(args[0]);
        if with {
            command.env("LD_PRELOAD", shared_object().expect("a module"));
        }
        command
            .args(&args[1..])
            .stderr(stderr())
            .output()
            .expect("it runs")
    })
}

#[test]
fn other_programs_do_what_they_do() {
    let script = "printf '%s\\n' one two | sort -r; sleep 0.01; (exit 7)";
    let [with, without] = run(&["/bin/sh", "-c", script], Stdio::piped);
    assert_eq!((with.status, with.stdout), (without.status, without.stdout));
    let said = String::from_utf8(with.stderr).unwrap();
    assert!(
        said.lines().all(|line| line.contains("is not Icecast 2.4")),
        "{said}"
    );
    let [with, _] = run(&["/bin/sleep", "0.01"], Stdio::piped);
    assert!(with.status.success());
    assert_eq!(with.stderr.iter().filter(|byte| **byte == b'\n').count(), 1);
}

#[test]
fn they_do_so_where_nothing_can_be_said() {
    let full = || {
        File::options()
            .write(true)
            .open("/dev/full")
            .unwrap()
            .into()
    };
    let [with, _] = run(&["/bin/sleep", "0.01"], full);
    assert!(with.status.success(), "{:?}", with.status);
    let [with, _] = run(&["/bin/sh", "-c", "exec sleep 0.01 2>&-"], Stdio::piped);
    assert!(with.status.success(), "{:?}", with.status);
}
