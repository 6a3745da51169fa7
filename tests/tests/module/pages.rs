//! Whatever is no stream: files, ranges of them, pages, playlists, other names.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn files_are_served_whole_and_in_part() {
    twice("files", async |run| {
        let file = marked::bytes(7, 0, 300_000);
        let setup = Setup {
            files: vec![
                ("web/file.mp3".to_owned(), file.clone()),
                ("web/empty.mp3".to_owned(), Vec::new()),
                ("web/text.txt".to_owned(), b"text\n".to_vec()),
                ("web/page.html".to_owned(), b"<html></html>\n".to_vec()),
            ],
            ..run.setup()
        };
        let icecast = run.start(setup).await;
        let mut seen = Seen::new();
        let mut all = Vec::new();
        for range in [
            None,
            Some("bytes=0-"),
            Some("bytes=100-199"),
            Some("bytes=299000-"),
            Some("bytes=299999-400000"),
            Some("bytes=300000-"),
            Some("bytes=-100"),
            Some("bytes=5-2"),
            Some("bytes=0-1,5-6"),
            Some("nonsense"),
        ] {
            let fields: Vec<_> = range.map(|range| ("Range", range)).into_iter().collect();
            let answer = http::get(icecast.addr(), "/file.mp3", &fields).await;
            let answer = match answer {
                Ok(answer) => {
                    all.push(answer.head.status.to_string());
                    format!("{}{:?}", seen::whole(&answer), pieces(&answer.body))
                }
                Err(error) => format!("{error:#}"),
            };
            seen.is(format!("{range:?}"), answer);
        }
        for path in [
            "/empty.mp3",
            "/text.txt",
            "/page.html",
            "/style.css",
            "/key.png",
            "/none.mp3",
            "/.",
            "/web",
        ] {
            let answer = http::get(icecast.addr(), path, &[]).await;
            let answer = match answer {
                Ok(answer) => format!("{}{} bytes", seen::whole(&answer), answer.body.len()),
                Err(error) => format!("{error:#}"),
            };
            seen.is(path, answer);
        }
        seen.in_short(all.join(" "));
        run.end(icecast, seen)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_what_they_were() {
    twice("pages", async |run| {
        let icecast = run.icecast("").await;
        let _a = air(&icecast, "/a.mp3", 1).await;
        let tap = hear(&icecast, "/a.mp3").await;
        admin::wait_listeners(&icecast, "/a.mp3", 1).await;
        let mut seen = Seen::new();
        let public = [
            "/",
            "/status.xsl",
            "/status-json.xsl",
            "/status-json.xsl?mount=/a.mp3",
            "/server_version.xsl",
            "/auth.xsl",
            "/a.mp3.m3u",
            "/a.mp3.xspf",
            "/a.mp3.vclt",
            "/none.mp3.m3u",
            "/admin",
            "/admin/",
            "/admin/stats",
            "/admin/nonsense",
            "/admin.cgi",
            "/none.xsl",
        ];
        for path in public {
            seen.is(path, page(&icecast, path, &[]).await);
        }
        let private = [
            "/admin/",
            "/admin/stats",
            "/admin/stats.xml",
            "/admin/stats?mount=/a.mp3",
            "/admin/stats.xsl",
            "/admin/listmounts",
            "/admin/listmounts.xsl",
            "/admin/streamlist.txt",
            "/admin/listclients.xsl?mount=/a.mp3",
            "/admin/moveclients.xsl?mount=/a.mp3",
            "/admin/updatemetadata.xsl?mount=/a.mp3",
            "/admin/fallbacks?mount=/a.mp3&fallback=/b.mp3",
            "/admin/buildm3u?mount=/a.mp3&username=a&password=b",
            "/admin/response.xsl",
            "/admin/nonsense",
        ];
        let auth = http::basic("admin", PASSWORD);
        for path in private {
            let fields = [("Authorization", auth.as_str())];
            seen.is(
                format!("administrator: {path}"),
                page(&icecast, path, &fields).await,
            );
        }
        tap.wait_more(RATE, SOON).await;
        seen.is("streams", heard(&tap));
        seen.in_short(format!("{} pages", public.len() + private.len()));
        run.end(icecast, seen)
    })
    .await;
}

/// Head and body as they come, but for the date and for numbers: lengths, times, ports. Not all of its heads are right.
async fn page(icecast: &Icecast, path: &str, fields: &[(&str, &str)]) -> String {
    let request = http::request("GET", path, icecast.addr(), fields);
    let answer = http::exchange(icecast.addr(), &request, SOON)
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&answer).into_owned();
    let lines = text.lines().filter(|line| !line.starts_with("Date: "));
    seen::plain(&lines.collect::<Vec<_>>().join("\n"), icecast)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_name_leads_to_the_same_mount() {
    twice("alias", async |run| {
        let setup = Setup {
            paths: "<alias source=\"/other\" destination=\"/a.mp3\"/>\
                    <alias source=\"/bound\" destination=\"/b.mp3\" bind-address=\"127.0.0.1\"/>\
                    <alias source=\"/away\" destination=\"/b.mp3\" bind-address=\"127.0.0.9\"/>\
                    <alias source=\"/c.mp3\" destination=\"/b.mp3\"/>\
                    <alias source=\"/info\" destination=\"/status-json.xsl\"/>"
                .to_owned(),
            ..run.setup()
        };
        let icecast = run.start(setup).await;
        let _a = air(&icecast, "/a.mp3", 1).await;
        let _b = air(&icecast, "/b.mp3", 2).await;
        let mut seen = Seen::new();
        let mut all = Vec::new();
        for path in [
            "/other",
            "/bound",
            "/away",
            "/c.mp3",
            "/other?a=b",
            "/info",
            "/OTHER",
        ] {
            let tap = Tap::open(icecast.addr(), path, &[]).await.unwrap();
            let kind = tap.head.get("Content-Type").unwrap_or("-");
            let mut what = format!("{} {kind}", tap.head.status);
            if kind == "audio/mpeg" {
                tap.wait_len(2 * RATE, SOON).await;
                what = format!("stream {}", heard(&tap));
            }
            seen.is(path, &what);
            all.push(what);
        }
        seen.in_short(format!("{} names", all.len()));
        run.end(icecast, seen)
    })
    .await;
}
