//! Relays: from another Icecast, and by another Icecast.

use icecast_ext_tests::metadata::set_title;

use super::*;

const ICY: [(&str, &str); 1] = [("Icy-MetaData", "1")];

fn relay(from: &Icecast, mount: &str, on_demand: bool) -> String {
    format!(
        "<relay><server>127.0.0.1</server><port>{}</port><mount>{mount}</mount>\
         <local-mount>/r.mp3</local-mount><on-demand>{}</on-demand>\
         <relay-shoutcast-metadata>1</relay-shoutcast-metadata></relay>",
        from.addr().port(),
        u8::from(on_demand)
    )
}

/// A source, a server, its relay, and what listeners of the relay get.
async fn chain(first: &Icecast, second: &Icecast, a: Air, seen: &mut Seen) -> Head {
    second.wait_mount("/r.mp3").await;
    let plain = hear(second, "/r.mp3").await;
    let icy = hear_with(second, "/r.mp3", &ICY).await;
    seen.is("head", seen::live(&plain.head));
    for title in ["one", "two"] {
        set_title(first.addr(), "/a.mp3", title).await.unwrap();
        let comes = || {
            icy.titles()
                .iter()
                .any(|block| block.title() == Some(title))
        };
        wait_for(title, SOON, comes).await;
    }
    icy.wait_more(RATE, SOON).await;
    let titles: Vec<_> = icy
        .titles()
        .iter()
        .map(|block| block.text.clone())
        .collect();
    seen.is("titles", titles.join("\n"));
    seen.is("streams", format!("{} {}", heard(&plain), heard(&icy)));
    admin::wait_listeners(first, "/a.mp3", 1).await;
    admin::wait_listeners(second, "/r.mp3", 2).await;
    seen.is("list at the first", admin::clients(first, "/a.mp3").await);
    seen.is("list at the second", admin::clients(second, "/r.mp3").await);
    drop(a);
    seen.is(
        "end",
        format!(
            "{:?} {:?}",
            plain.wait_end(SOON).await,
            icy.wait_end(SOON).await
        ),
    );
    seen.in_short(format!("heard {}, {} titles", heard(&plain), titles.len()));
    plain.head.clone()
}

async fn stock(more: String) -> Icecast {
    let setup = Setup {
        more,
        ..Setup::default()
    };
    Icecast::with(setup).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_relays_from_another() {
    twice("relays from stock", async |run| {
        let stock = stock(String::new()).await;
        let a = air(&stock, "/a.mp3", 1).await;
        let icecast = run.icecast(&relay(&stock, "/a.mp3", false)).await;
        let mut seen = Seen::new();
        chain(&stock, &icecast, a, &mut seen).await;
        run.end(icecast, seen)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_relays_from_it() {
    twice("stock relays from it", async |run| {
        let icecast = run.icecast("").await;
        let a = air(&icecast, "/a.mp3", 1).await;
        let stock = stock(relay(&icecast, "/a.mp3", false)).await;
        let mut seen = Seen::new();
        let head = chain(&icecast, &stock, a, &mut seen).await;
        // Nothing of what the module says is passed on.
        let names: Vec<_> = head.fields.iter().map(|(name, _)| name.as_str()).collect();
        seen.is("fields", names.join(" "));
        let seen = run.end(icecast, seen);
        run.end(stock, seen)
    })
    .await;
}

/// Two listeners come and go, and one comes again.
async fn demand(from: &Icecast, relay: &Icecast) -> String {
    // It is a file that there is none of until the relay has been looked at.
    admin::wait_listeners(relay, "/r.mp3", 0).await;
    let before = admin::stat(from, "/a.mp3", "listeners").await;
    let first = hear(relay, "/r.mp3").await;
    let second = hear_with(relay, "/r.mp3", &ICY).await;
    air::go_on([&first, &second]).await;
    admin::wait_listeners(from, "/a.mp3", 1).await;
    let heard_first = format!("{}, {}", heard(&first), heard(&second));
    drop((first, second));
    admin::wait_listeners(from, "/a.mp3", 0).await;
    let again = hear(relay, "/r.mp3").await;
    air::go_on([&again]).await;
    format!(
        "{before} listeners before; heard {heard_first}; then {}",
        heard(&again)
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_on_demand_runs_while_somebody_listens() {
    twice("relays on demand", async |run| {
        let stock = stock(String::new()).await;
        let icecast = run.icecast("").await;
        // One relay each way.
        let _a = air(&stock, "/a.mp3", 1).await;
        let _b = air(&icecast, "/a.mp3", 2).await;
        let it = run.icecast(&relay(&stock, "/a.mp3", true)).await;
        let other = self::stock(relay(&icecast, "/a.mp3", true)).await;
        let mut seen = Seen::new();
        let (from_stock, from_it) = tokio::join!(demand(&stock, &it), demand(&icecast, &other));
        seen.is("from stock", from_stock);
        seen.is("from it", from_it);
        seen.in_short("starts, stops, starts again; both ways");
        let seen = run.end(icecast, seen);
        run.end(it, seen)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slave_relays_whatever_its_master_has() {
    twice("master and slave", async |run| {
        let master = run.icecast("").await;
        let _a = air(&master, "/a.mp3", 1).await;
        let slave = run
            .icecast(&format!(
                "<master-server>127.0.0.1</master-server>\
                 <master-server-port>{}</master-server-port>\
                 <master-update-interval>2</master-update-interval>\
                 <master-password>{PASSWORD}</master-password>",
                master.addr().port()
            ))
            .await;
        slave.wait_mount("/a.mp3").await;
        let _b = air(&master, "/b.mp3", 2).await;
        let first = hear(&slave, "/a.mp3").await;
        slave.wait_mount("/b.mp3").await;
        let second = hear(&slave, "/b.mp3").await;
        second.wait_more(RATE, SOON).await;
        let mut seen = Seen::new();
        seen.is("streams", format!("{} {}", heard(&first), heard(&second)));
        seen.in_short(format!("heard {} and {}", heard(&first), heard(&second)));
        let seen = run.end(master, seen);
        run.end(slave, seen)
    })
    .await;
}
