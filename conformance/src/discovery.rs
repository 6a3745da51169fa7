//! Which profiles apply, and how that is seen.

use std::sync::Arc;

use crate::case::Stop;
use crate::frame::MEDIA_TYPE;
use crate::http::Request;
use crate::profile::{Applies, Profile};
use crate::session::Session;
use crate::stage::Stage;

/// What ffmpeg sends when it joins: the family of stock players that every server of that chapter knows.
#[must_use]
pub fn player(mount: &str) -> Request {
    Request::get(mount)
        .field("User-Agent", "Lavf/59.27.100")
        .field("Accept", "*/*")
        .field("Range", "bytes=0-")
        .field("Connection", "close")
        .field("Icy-MetaData", "1")
}

/// Looks at the server, profile by profile.
///
/// # Errors
/// Why nothing can be judged.
pub async fn profiles(stage: Arc<Stage>) -> Result<Vec<Applies>, String> {
    let session = Session::begin(Arc::clone(&stage)).await;
    let mount = session.mount().await.map_err(|stop| stop.to_string())?;
    let plain = session
        .ask_new(Request::get(&mount))
        .await
        .map_err(|stop| stop.to_string())?;
    let joined = session.join_at(&mount).await;
    // Whether it may be asked plainly is what a case judges.
    if plain.status() != 200 && joined.is_err() {
        return Err(format!(
            "{}: status {} instead of a live stream",
            stage.target.url.text(),
            plain.status()
        ));
    }
    // A proxy may send through what it does not know yet; joining waits for that.
    let aware = match joined {
        Ok(answer) => answer.field("Stream-Offset").is_some(),
        Err(_) => plain.field("Stream-Offset").is_some(),
    };
    let feed = session
        .ask(Request::get(&mount).field("Accept", MEDIA_TYPE))
        .await;
    let feeds = feed
        .as_ref()
        .is_ok_and(|answer| answer.field("Content-Type").as_deref() == Some(MEDIA_TYPE));
    let player = session.ask(player(&mount)).await;
    let ranges = player
        .as_ref()
        .is_ok_and(|answer| answer.field("Accept-Ranges").is_some());
    let several = stage.target.second.is_some() || stage.target.below.is_some();
    let said = |answer: &Result<_, Stop>| {
        answer
            .as_ref()
            .err()
            .map(|stop| format!(" ({stop})"))
            .unwrap_or_default()
    };
    let why =
        |applies: bool, yes: &str, no: String| (applies, if applies { yes.to_owned() } else { no });
    let all = Profile::ALL.map(|profile| {
        let (applies, why) = match profile {
            Profile::Icecast => (true, "the mount is live".to_owned()),
            Profile::Resume => why(
                aware,
                "the answer has Stream-Offset",
                "the answer has no Stream-Offset: the server knows nothing of the extension"
                    .to_owned(),
            ),
            Profile::Relay => why(
                aware && (feeds || several),
                "the server offers the relay feed, or several servers were named",
                format!("the server does not offer the relay feed{}", said(&feed)),
            ),
            Profile::Players => why(
                ranges,
                "a player that asks for a Range is told Accept-Ranges",
                format!(
                    "a player that asks for a Range is not told Accept-Ranges{}",
                    said(&player)
                ),
            ),
            Profile::Client => (
                false,
                "this is a server: `icecast-ext-conformance client` judges clients".to_owned(),
            ),
            Profile::Abi => (
                false,
                "this is a server: `icecast-ext-conformance abi` judges shared objects".to_owned(),
            ),
        };
        Applies {
            profile,
            applies,
            why,
        }
    });
    Ok(all.to_vec())
}
