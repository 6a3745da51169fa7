//! What an administrator does, and to whom.

use super::*;

/// The ids of a mount's listeners by their agents.
async fn ids(addr: SocketAddr, mount: &str) -> Vec<(String, String)> {
    let list = admin(addr, &format!("/admin/listclients?mount={mount}"))
        .await
        .text();
    let xml = roxmltree::Document::parse(&list).expect("well-formed");
    let rows = xml
        .descendants()
        .filter(|node| node.has_tag_name("listener"));
    rows.map(|row| {
        let of = |name: &str| {
            row.children()
                .find(|node| node.has_tag_name(name))
                .and_then(|node| node.text())
                .unwrap_or_default()
                .to_owned()
        };
        (of("UserAgent"), of("ID"))
    })
    .collect()
}

async fn id_of(addr: SocketAddr, mount: &str, agent: &str) -> String {
    let ids = ids(addr, mount).await;
    ids.iter()
        .find(|(other, _)| other == agent)
        .unwrap_or_else(|| panic!("{agent} in {ids:?}"))
        .1
        .clone()
}

async fn open(addr: SocketAddr, mount: &str, agent: &str, fields: &[(&str, &str)]) -> Tap {
    let fields: Vec<_> = fields
        .iter()
        .copied()
        .chain([("User-Agent", agent)])
        .collect();
    let tap = Tap::open(addr, mount, &fields).await.expect("a listener");
    assert_eq!(tap.head.status, 200, "{agent}");
    tap
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_killed_goes_and_nobody_else() {
    let server = server().await;
    let proxy = Proxy::start(server.icecast.addr())
        .await
        .expect("the proxy starts");
    let (icecast, proxied) = (server.icecast.addr(), proxy.addr());
    let first = open(proxied, "/a.mp3", "first", &[]).await;
    let second = open(proxied, "/a.mp3", "second", &[]).await;
    let direct = open(icecast, "/a.mp3", "direct", &[]).await;
    let kept = open(icecast, "/a.mp3", "kept", &[]).await;
    let elsewhere = open(proxied, "/b.mp3", "elsewhere", &[]).await;
    // Everybody once, wherever he listens.
    listening(proxied, 4, 1).await;
    let mut agents: Vec<String> = ids(proxied, "/a.mp3")
        .await
        .into_iter()
        .map(|(agent, _)| agent)
        .collect();
    agents.sort();
    assert_eq!(agents, ["direct", "first", "kept", "second"]);
    let id = id_of(proxied, "/a.mp3", "second").await;
    let kill = |mount: &str, id: &str, auth: Option<String>| {
        let auth = auth.map_or_else(String::new, |auth| format!("Authorization: {auth}\r\n"));
        let request = format!(
            "GET /admin/killclient?mount={mount}&id={id} HTTP/1.1\r\nHost: x\r\n{auth}\r\n"
        );
        async move {
            http::raw(proxied, request.as_bytes())
                .await
                .expect("an answer")
        }
    };
    let right = || Some(basic("admin", PASSWORD));
    // No right, another mount, another number that Icecast would read as one of its own: nobody goes.
    for auth in [
        None,
        Some(basic("admin", "wrong")),
        Some(basic("source", "wrong")),
    ] {
        let answer = kill("/a.mp3", &id, auth).await;
        assert_eq!(
            (answer.head.status, answer.head.get("WWW-Authenticate")),
            (401, Some("Basic realm=\"Icecast2 Server\""))
        );
    }
    let refused = kill("/none.mp3", &id, right()).await;
    assert_eq!(refused.head.status, 400, "{}", refused.text());
    let stock = id_of(proxied, "/a.mp3", "kept").await;
    let wrapped = (stock.parse::<u64>().expect("an id") + (1 << 32)).to_string();
    for (mount, id) in [
        ("/b.mp3", id.as_str()),
        ("/a.mp3", wrapped.as_str()),
        ("/a.mp3", "1000999999"),
    ] {
        let answer = kill(mount, id, right()).await.text();
        assert!(
            answer.contains(&format!(
                "<message>Client {id} not found</message><return>0</return>"
            )),
            "{answer}"
        );
    }
    let twice = kill("/a.mp3", &format!("{id}&id=1"), right()).await;
    assert_eq!(twice.head.status, 400, "{}", twice.text());
    assert_eq!(
        [&first, &second, &direct, &kept, &elsewhere].map(Tap::ended),
        [None; 5]
    );
    // A source's password is enough for its own mount, as it is at Icecast.
    let answer = kill("/a.mp3", &id, Some(basic("source", PASSWORD)))
        .await
        .text();
    let removed = |id: &str| {
        format!(
            "<?xml version=\"1.0\"?>\n<iceresponse><message>Client {id} removed</message><return>1</return></iceresponse>\n"
        )
    };
    assert_eq!(answer, removed(&id));
    assert_eq!(second.wait_end(SOON).await, End::Fin);
    let id = id_of(proxied, "/a.mp3", "direct").await;
    assert_eq!(kill("/a.mp3", &id, right()).await.text(), removed(&id));
    direct.wait_end(SOON).await;
    listening(proxied, 2, 1).await;
    for tap in [&first, &kept, &elsewhere] {
        assert_eq!(tap.ended(), None);
        tap.wait_more(8000, SOON).await;
    }
    let page = admin(
        proxied,
        &format!(
            "/admin/killclient.xsl?mount=/b.mp3&id={}",
            id_of(proxied, "/b.mp3", "elsewhere").await
        ),
    )
    .await
    .text();
    assert!(
        page.contains("removed</p>") && page.contains("<p>Return Code: 1</p>"),
        "{page}"
    );
    elsewhere.wait_end(SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_whom_icecast_judges_is_listed_once_and_where_it_is() {
    let more = "<mount type=\"normal\"><mount-name>/p.mp3</mount-name><authentication type=\"htpasswd\"><option name=\"filename\" value=\"{dir}/users\"/></authentication></mount>";
    let icecast = Icecast::with(icecast::Setup {
        more: more.into(),
        ..icecast::Setup::default()
    });
    let icecast = icecast.await.expect("icecast starts");
    // A user may be there once.
    let users = "bob:5ebe2294ecd0e0f08eab7690d2a6ee69\npull:5ebe2294ecd0e0f08eab7690d2a6ee69\n";
    std::fs::write(icecast.file("users"), users).expect("a file");
    let _source = noise(icecast.addr(), "/p.mp3", 9).await.expect("a source");
    icecast.wait_mount("/p.mp3").await;
    let proxy = Proxy::with(proxy::Setup {
        config: "[mount.\"/p.mp3\"]\npull-credentials = \"pull:secret\"\n".into(),
        ..proxy::Setup::before(icecast.addr())
    });
    let proxy = proxy.await.expect("the proxy starts");
    let request = format!(
        "GET /p.mp3 HTTP/1.1\r\nHost: x\r\nUser-Agent: shadowed\r\nAuthorization: {}\r\n\r\n",
        basic("bob", "secret")
    );
    let tap = from(7, proxy.addr(), request.as_bytes());
    let tap = tap.await.expect("a listener");
    assert_eq!(tap.head.status, 200);
    tap.wait_more(8000, SOON).await;
    let list = wait_until("the listener", SOON, || async {
        let list = admin(proxy.addr(), "/admin/listclients?mount=/p.mp3").await;
        list.text().contains("shadowed").then(|| list.text())
    })
    .await;
    let rows = between(&list, "<listener>", "</listener>");
    assert_eq!(rows.len(), 1, "{list}");
    assert!(
        rows[0].starts_with("<IP>127.0.0.7</IP><UserAgent>shadowed<"),
        "{list}"
    );
    assert!(rows[0].ends_with("<username>bob</username>"), "{list}");
    assert!(list.contains("<Listeners>1<"), "{list}");
    wait_until("one listener", SOON, || async {
        let stats = admin(proxy.addr(), "/admin/stats").await.text();
        (counts(&stats, "/p.mp3") == (1, 1)).then_some(())
    })
    .await;
    let page = admin(proxy.addr(), "/admin/listclients.xsl?mount=/p.mp3").await;
    assert!(page.text().contains("<td>127.0.0.7"), "{}", page.text());
    let id = id_of(proxy.addr(), "/p.mp3", "shadowed").await;
    let killed = admin(
        proxy.addr(),
        &format!("/admin/killclient?mount=/p.mp3&id={id}"),
    )
    .await;
    assert!(
        killed.text().contains("<return>1</return>"),
        "{}",
        killed.text()
    );
    tap.wait_end(SOON).await;
}

/// Where `body` leaves `from` for `to`: a slice of the one, then a slice of the other.
fn changeover(body: &[u8], from: &[u8], to: &[u8]) {
    let start = find(from, &body[..256]).expect("begins in the first mount");
    let same = first_difference(&from[start..], body);
    assert!(same < body.len(), "it is in the first mount still");
    let there =
        find(to, &body[same..(same + 256).min(body.len())]).expect("goes on in the second mount");
    assert_eq!(
        first_difference(&to[there..], &body[same..]),
        body.len() - same,
        "a slice of the second"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_move_and_no_byte_of_one_mount_is_taken_for_another() {
    let server = server().await;
    let proxy = Proxy::start(server.icecast.addr())
        .await
        .expect("the proxy starts");
    let (icecast, proxied) = (server.icecast.addr(), proxy.addr());
    let ours = open(proxied, "/a.mp3", "ours", &[]).await;
    let icy = open(proxied, "/a.mp3", "icy", &[("Icy-MetaData", "1")]).await;
    let aware = open(proxied, "/a.mp3", "aware", &[("Resume-Offset", "live")]).await;
    let direct = open(icecast, "/a.mp3", "direct", &[]).await;
    let stays = open(proxied, "/b.mp3", "stays", &[]).await;
    listening(proxied, 4, 1).await;
    let target = "/admin/moveclients?mount=/a.mp3&destination=/b.mp3";
    let auth = basic("admin", "wrong");
    let refused = http::get(proxied, target, &[("Authorization", &auth)])
        .await
        .expect("an answer");
    assert_eq!(refused.head.status, 401);
    let refused = http::raw(
        proxied,
        format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").as_bytes(),
    )
    .await
    .expect("an answer");
    assert_eq!(refused.head.status, 405);
    for tap in [&ours, &icy, &aware, &direct] {
        tap.wait_more(16_000, SOON).await;
        assert_eq!(tap.ended(), None);
    }
    let answer = admin(proxied, target).await.text();
    assert_eq!(
        answer,
        "<?xml version=\"1.0\"?>\n<iceresponse><message>Clients moved from /a.mp3 to /b.mp3</message><return>1</return></iceresponse>\n"
    );
    // An aware client asks again by itself: it would take the other mount's bytes for its own.
    assert_eq!(aware.wait_end(SOON).await, End::Fin);
    listening(proxied, 0, 4).await;
    let mut agents: Vec<String> = ids(proxied, "/b.mp3")
        .await
        .into_iter()
        .map(|(agent, _)| agent)
        .collect();
    agents.sort();
    assert_eq!(agents, ["direct", "icy", "ours", "stays"]);
    // The aware one comes back to its mount, which is still the same run.
    let place = aware.head.place().expect("a place");
    let resume = place.resume(aware.audio().len() as u64);
    let again = open(proxied, "/a.mp3", "aware", &[("Resume-Offset", &resume)]).await;
    for tap in [&ours, &icy, &direct, &stays, &again] {
        tap.wait_more(48_000, SOON).await;
    }
    let heard = [ours.body(), icy.audio(), direct.body()];
    let whole = [aware.audio(), again.audio()].concat();
    let stayed = stays.body();
    let [a, b] = [server.sources[0].sent(), server.sources[1].sent()];
    for body in &heard {
        changeover(body, &a, &b);
    }
    let same = again.head.place().map(|place| place.epoch);
    assert_eq!(same, Some(place.epoch), "the same run");
    assert!(find(&a, &whole).is_some(), "one slice of its own mount");
    assert!(find(&b, &stayed).is_some(), "one slice of the other");
    // A killed id is at its new mount now.
    let id = id_of(proxied, "/b.mp3", "ours").await;
    admin(proxied, &format!("/admin/killclient?mount=/b.mp3&id={id}")).await;
    ours.wait_end(SOON).await;
}
