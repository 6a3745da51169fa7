//! When the client asks again, where, and what it sends along.

use std::time::Duration;

use tokio::time::Instant;

use crate::case::{Case, Stop, Verdict, expect};
use crate::client::Scene;
use crate::client::host::{Asked, From};
use crate::client::play::{ASKS, Play, SOME};
use crate::reference::names;

pub(super) const CASES: &[Case<Scene>] = &[
    Case {
        id: "client/echoes-its-session",
        requirement: "R-SESS-2",
        does: "gives sessions, and cuts",
        run: |s| Box::pin(echoes_its_session(s)),
    },
    Case {
        id: "client/keeps-its-session",
        requirement: "R-SESS-6",
        does: "gives a session, and is gone, while another relay was named on the command line",
        run: |s| Box::pin(keeps_its_session(s)),
    },
    Case {
        id: "client/keeps-its-position",
        requirement: "R-CLIENT-8",
        does: "answers resumes with 404, 500, 503 and not at all",
        run: |s| Box::pin(keeps_its_position(s)),
    },
    Case {
        id: "client/412-asks-elsewhere",
        requirement: "R-AHEAD-5",
        does: "answers a resume with 412, while another relay was named on the command line",
        run: |s| Box::pin(asks_elsewhere(s)),
    },
    Case {
        id: "client/retry-after",
        requirement: "R-CLIENT-7",
        does: "answers a resume with 503 and Retry-After: 4",
        run: |s| Box::pin(retry_after(s)),
    },
    Case {
        id: "client/others-meanwhile",
        requirement: "R-CLIENT-11",
        does: "answers a resume with 503 and Retry-After: 8, while another relay was named on the command line",
        run: |s| Box::pin(others_meanwhile(s)),
    },
    Case {
        id: "client/backs-off",
        requirement: "R-CLIENT-3",
        does: "answers resumes with 503, and looks at the clock",
        run: |s| Box::pin(backs_off(s)),
    },
    Case {
        id: "client/silence",
        requirement: "R-CLIENT-2",
        does: "sends nothing more, and looks at the clock",
        run: |s| Box::pin(silence(s)),
    },
];

fn session() -> String {
    names::encode(&names::random::<16>())
}

async fn echoes_its_session(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    let mut given = session();
    play.join(&format!(";session=\"{given}\"")).await?;
    for _ in 0..2 {
        let asked = play.exact().await?;
        let echoed = asked.session();
        expect(
            echoed.as_ref() == Some(&given),
            format!("session=\"{given}\""),
            format!("session {echoed:?}"),
        )?;
        given = session();
        let parameters = format!(";session=\"{given}\"");
        play.serve(asked, &parameters, SOME).await.fin().await;
    }
    Ok(())
}

impl Play {
    /// The request at the second relay, while the first refuses.
    async fn at_other(&mut self, status: u16) -> Result<Asked, Stop> {
        let end = Instant::now() + ASKS;
        let Some(mut other) = self.other.take() else {
            return Err(Stop::Error("no second relay".to_owned()));
        };
        loop {
            let left = end.saturating_duration_since(Instant::now());
            tokio::select! {
                biased;
                asked = other.next(left) => {
                    let gone = self.gone();
                    return match asked {
                        Some(asked) => Ok(asked),
                        None => Err(Stop::blocked("R-CLIENT-4", gone.await)),
                    };
                }
                asked = self.host.next(left) => if let Some(asked) = asked {
                    asked.refuse(status, &[]).await;
                },
            }
        }
    }
}

async fn keeps_its_session(s: Scene) -> Verdict {
    let mut play = Play::begin_with_two(&s).await?;
    let given = session();
    play.join(&format!(";session=\"{given}\"")).await?;
    let asked = play.at_other(503).await?;
    expect(
        asked.session().as_ref() != Some(&given),
        "no session of another server",
        format!("session=\"{given}\""),
    )
}

async fn keeps_its_position(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    play.join("").await?;
    play.exact().await?.refuse(404, &[]).await;
    for status in [500, 503] {
        play.goes_on("as before the refusal")
            .await?
            .refuse(status, &[])
            .await;
    }
    let asked = play.goes_on("as before the refusal").await?;
    asked.octets(b"").await.reset();
    play.goes_on("as before the reset").await.map(drop)
}

async fn asks_elsewhere(s: Scene) -> Verdict {
    let mut play = Play::begin_with_two(&s).await?;
    play.join("").await?;
    let window = format!(
        "first={}, next={}, rate=16000, epoch=\"{}\"",
        play.next.offset - 3000,
        play.next.offset - 2000,
        play.next.epoch
    );
    let asked = play.exact().await?;
    asked.refuse(412, &[("Stream-Window", &window)]).await;
    let Some(other) = play.other.as_mut() else {
        return Err(Stop::Error("no second relay".to_owned()));
    };
    let expected = format!("a request at the other relay, for {}", play.next);
    tokio::select! {
        biased;
        asked = other.next(ASKS) => match asked {
            Some(asked) => {
                let from = asked.from();
                expect(from == From::At(play.next.clone()), expected, format!("a request for {from}"))
            }
            None => Err(Stop::fail(expected, "none")),
        },
        asked = play.host.next(ASKS) => {
            let from = asked.map(|asked| asked.from().to_string());
            Err(Stop::fail(expected, format!("one at the same relay, for {from:?}")))
        }
    }
}

async fn retry_after(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    play.join("").await?;
    play.exact()
        .await?
        .refuse(503, &[("Retry-After", "4")])
        .await;
    let refused = Instant::now();
    let asked = play.again().await?;
    let waited = asked.when.duration_since(refused);
    // The two clocks of a request and its answer are one; what is between them is the network.
    expect(
        waited >= Duration::from_millis(3900),
        "no request for 4 s",
        format!("one after {} ms", waited.as_millis()),
    )
}

async fn others_meanwhile(s: Scene) -> Verdict {
    let mut play = Play::begin_with_two(&s).await?;
    play.join("").await?;
    play.exact()
        .await?
        .refuse(503, &[("Retry-After", "8")])
        .await;
    let Some(other) = play.other.as_mut() else {
        return Err(Stop::Error("no second relay".to_owned()));
    };
    match other.next(Duration::from_secs(6)).await {
        Some(_) => Ok(()),
        None => Err(Stop::fail(
            "a request at the other relay within 6 s",
            "none",
        )),
    }
}

async fn backs_off(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    play.join("").await?;
    let cut = Instant::now();
    let mut asked = play.exact().await?;
    let first = asked.when.saturating_duration_since(cut);
    expect(
        first < Duration::from_millis(2500),
        "a request at once after the cut",
        format!("one after {} ms", first.as_millis()),
    )?;
    let mut waits = Vec::new();
    let end = Instant::now() + Duration::from_secs(12);
    while Instant::now() < end {
        let before = asked.when;
        asked.refuse(503, &[]).await;
        asked = match play.host.next(ASKS).await {
            Some(asked) => asked,
            None => {
                let expected = format!("a request within {} s", ASKS.as_secs());
                return Err(Stop::fail(expected, play.gone().await));
            }
        };
        waits.push(asked.when.duration_since(before).as_millis());
        expect(
            waits.len() < 20,
            "fewer requests while the server refuses",
            format!("waits of {waits:?} ms"),
        )?;
    }
    let (shortest, longest) = (waits.iter().min(), waits.iter().max());
    expect(
        longest >= Some(&1000) && longest.map(|ms| ms / 2) >= shortest.copied(),
        "waits that grow",
        format!("{waits:?} ms"),
    )
}

async fn silence(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    let asked = play.first().await?;
    let _silent = play.serve(asked, "", SOME).await;
    let began = Instant::now();
    let asked = play.host.next(Duration::from_secs(12)).await;
    let waited = asked.map(|asked| asked.when.duration_since(began));
    expect(
        waited.is_some_and(|waited| waited < Duration::from_secs(9)),
        "another request after some 5 s of silence",
        waited.map_or_else(
            || "none within 12 s".to_owned(),
            |waited| format!("one after {} ms", waited.as_millis()),
        ),
    )
}
