//! Values of `Resume-Anchor`, from the vectors of the protocol.

use icecast_ext_spec::vector;

use super::told::ask;
use crate::case::{Stop, Verdict, expect};
use crate::http::latin;
use crate::session::Session;

/// Values, and whether they are right. An empty one may be dropped on the way.
fn vectors() -> Result<Vec<(String, bool)>, Stop> {
    let vectors = vector::anchors().map_err(|error| Stop::Error(error.to_string()))?;
    let all = vectors.field.into_iter();
    let values = all.map(|case| (case.input, case.expect.is_ok()));
    Ok(values
        .filter(|(value, _)| !value.is_empty() && value.len() < 3000)
        .collect())
}

pub(super) async fn lists(s: Session) -> Verdict {
    let mount = s.mount().await?;
    s.join_at(&mount).await?;
    let right: Vec<_> = vectors()?
        .into_iter()
        .filter_map(|(value, right)| right.then_some(value))
        .collect();
    let first = right.first().cloned().unwrap_or_default();
    // White space around the commas of a List, and after semicolons, is free.
    let others = [
        first.replace(", ", ","),
        first.replace(", ", " \t,  "),
        first.replace(';', "; "),
    ];
    for value in right.into_iter().chain(others) {
        let answer = ask(&s, &mount, "", &value).await?;
        expect(
            answer.status() != 400,
            "a status that is not 400",
            format!("400 for Resume-Anchor: {value}"),
        )?;
    }
    Ok(())
}

pub(super) async fn malformed(s: Session) -> Verdict {
    let mount = s.mount().await?;
    s.join_at(&mount).await?;
    for (value, _) in vectors()?.into_iter().filter(|(_, right)| !right) {
        let mut answer = ask(&s, &mount, "", &value).await?;
        expect(
            answer.status() == 400,
            "400",
            format!("{} for Resume-Anchor: {value}", answer.status()),
        )?;
        let (body, _) = answer.read_for(s.target().answer, 4096).await;
        let text = latin(&body);
        expect(
            text.to_ascii_lowercase().contains("resume-anchor"),
            "a text that names Resume-Anchor",
            format!("{text:?}"),
        )?;
    }
    Ok(())
}
