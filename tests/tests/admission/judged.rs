//! Who is let in, as at Icecast.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_is_let_in_or_refused_as_at_icecast() {
    let modes = ["fanout", "verdict", "shadow"];
    let mut mounts = Vec::new();
    for kind in ["USERS", "HOOKS"] {
        for mode in modes {
            let path = format!("/{}-{mode}.mp3", kind.to_lowercase());
            let table = format!("admission = \"{mode}\"\npull-credentials = \"{PULL}\"");
            mounts.push((path, kind, table));
        }
    }
    // Protected without credentials: tunnelled. With credentials: a shadow.
    mounts.push(("/none.mp3".into(), "HOOKS", String::new()));
    mounts.push((
        "/default.mp3".into(),
        "HOOKS",
        format!("pull-credentials = \"{PULL}\""),
    ));
    let rows: Vec<_> = mounts
        .iter()
        .map(|(path, kind, table)| (path.as_str(), *kind, table.as_str()))
        .collect();
    let stage = Stage::new(&rows).await;
    let (direct, proxied) = (stage.icecast.addr(), stage.proxy.addr());
    let mut checks = JoinSet::new();
    for (path, ..) in &mounts {
        checks.spawn(check(path.clone(), direct, proxied));
    }
    while let Some(checked) = checks.join_next().await {
        let (path, heard) = checked.unwrap();
        assert!(
            find(&stage.sent(&path), &heard).is_some(),
            "{path}: other bytes"
        );
    }
    let log = stage.proxy.log();
    assert!(!log.contains("secret") && !log.contains("Ym9i"), "{log}");
}

/// The matrix of one mount; what a listener heard across a resume.
async fn check(path: String, direct: SocketAddr, proxied: SocketAddr) -> (String, Vec<u8>) {
    let bob = basic("bob", "secret");
    let right = ("Authorization", bob.as_str());
    let wrong = basic("bob", "guess");
    let wrong = ("Authorization", wrong.as_str());
    let opened = path.contains("fanout");
    let aware = path != "/none.mp3";
    let open = async |fields: &[(&str, &str)]| Tap::open(proxied, &path, fields).await.unwrap();

    // Right: a join, and a resume that goes on where it was, with the session, while the same user may not log in twice.
    let join = open(&[right, ("Resume-Offset", "live")]).await;
    assert_eq!(join.head.status, 200, "{path}");
    assert_eq!(join.head.place().is_some(), aware, "{path}");
    join.wait_len(RATE, SOON).await;
    let mut heard = join.audio();
    let place = join.head.place();
    drop(join);
    if let Some(place) = &place {
        let at = format!(
            "{};session=\"{}\"",
            place.resume(heard.len() as u64),
            place.session.as_deref().unwrap_or_default()
        );
        let resumed = open(&[right, ("Resume-Offset", &at)]).await;
        assert_eq!(resumed.head.status, 200, "{path}: {:?}", resumed.head);
        let again = resumed.head.place().unwrap();
        assert_eq!(again.offset, place.offset + heard.len() as u64, "{path}");
        resumed.wait_len(RATE, SOON).await;
        heard.extend(resumed.audio());
    }

    // Wrong, or none: as Icecast says it, and nothing of ours, whatever position is asked for.
    let known = place.map_or_else(|| "live".to_owned(), |place| place.resume(1));
    let evicted = known
        .split_once(';')
        .map_or("live".to_owned(), |(_, epoch)| {
            format!("0;{epoch};miss=fail")
        });
    let ahead = known
        .split_once(';')
        .map_or("live".to_owned(), |(_, epoch)| {
            format!("99999999999;{epoch};miss=fail")
        });
    for credentials in [None, Some(wrong)] {
        let fields: Vec<_> = credentials.into_iter().collect();
        let refused = http::get(direct, &path, &fields).await.unwrap();
        for resume in [
            "live",
            &known,
            &evicted,
            &ahead,
            "5;epoch=\"AAAAAAAAAAAAAAAAAAAAAA\";miss=fail",
        ] {
            let mut fields = fields.clone();
            fields.push(("Resume-Offset", resume));
            if opened {
                if resume == "live" || resume == known {
                    assert_eq!(open(&fields).await.head.status, 200, "{path}");
                }
                continue;
            }
            let answer = http::get(proxied, &path, &fields).await.unwrap();
            assert_eq!(refusal(&answer), refusal(&refused), "{path} {resume}");
            assert_eq!(
                place_fields(&answer.head),
                Vec::<&(String, String)>::new(),
                "{path} {resume}"
            );
        }
        if !opened && aware {
            let head = http::raw(proxied, &request("HEAD", &path, proxied, &fields))
                .await
                .unwrap();
            assert_eq!((head.head.status, head.body.len()), (401, 0), "{path}");
            assert_eq!(
                place_fields(&head.head),
                Vec::<&(String, String)>::new(),
                "{path}"
            );
        }
    }
    (path, heard)
}
