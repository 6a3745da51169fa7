//! `Resume-Offset`, and its query forms.

use std::time::Duration;

use sfv::{BareItem, ItemSerializer};

use super::sf::{self, Source, Values};
use super::{FieldError, From, Miss, RESUME_OFFSET, Resume};
use crate::address::{Epoch, Offset, Position};

/// The query parameter that stands for the field.
const RESUME: &str = "_resume";
/// The query parameter of time shift.
const SHIFT: &str = "_shift";

impl Resume {
    /// A listener who says nothing: live.
    pub const LIVE: Self = Self {
        from: From::Live,
        miss: Miss::Oldest,
        max_lag: None,
        session: None,
    };

    /// Go on at a position; with [`Miss::Oldest`], no `max-lag` and no session.
    #[must_use]
    pub const fn at(position: Position) -> Self {
        Self {
            from: From::At(position),
            ..Self::LIVE
        }
    }

    /// Parses the field's lines, joined as RFC 9110 section 5.3 says.
    ///
    /// ```abnf
    /// Resume-Offset = sf-item
    ///   ; sf-integer from zero up, with epoch; or the sf-token "live", without
    ///   ; parameters: epoch sf-string, miss sf-token, max-lag sf-integer / sf-decimal, session sf-string
    /// ```
    ///
    /// # Errors
    /// If it is anything else (R-FIELD-3).
    pub fn parse(value: &[u8]) -> Result<Self, FieldError> {
        let item = sf::item(RESUME_OFFSET, value)?;
        let source = Source {
            field: RESUME_OFFSET,
            values: Values::Parameters(&item.params),
        };
        let epoch = source.string::<Epoch>("epoch")?;
        let from = match (&item.bare_item, epoch) {
            (BareItem::Token(live), None) if live.as_str() == "live" => From::Live,
            (BareItem::Token(live), Some(_)) if live.as_str() == "live" => {
                return Err(source.error("live has no epoch"));
            }
            (value, epoch) => {
                let offset = sf::count(value)
                    .and_then(Offset::new)
                    .ok_or_else(|| source.error("neither an Integer from zero up nor live"))?;
                From::At(Position::new(
                    epoch.ok_or_else(|| source.missing("epoch"))?,
                    offset,
                ))
            }
        };
        let miss = source.token("miss", "oldest, live or fail", |token| match token {
            "oldest" => Some(Miss::Oldest),
            "live" => Some(Miss::Live),
            "fail" => Some(Miss::Fail),
            _ => None,
        })?;
        Ok(Self {
            from,
            miss: miss.unwrap_or_default(),
            max_lag: source.seconds("max-lag")?,
            session: source.string("session")?,
        })
    }

    /// The query forms `_resume=EPOCH.OFFSET` and `_shift=SECONDS`. Returns the resume, if there was one, and the
    /// query without our parameters (`None` if nothing is left).
    ///
    /// ```abnf
    /// resume = "_resume=" epoch "." 1*15DIGIT
    /// shift  = "_shift=" 1*12DIGIT [ "." 1*3DIGIT ]
    /// ```
    ///
    /// # Errors
    /// If one of them is malformed, stands twice, or both stand there; the error names it.
    pub fn from_query(query: &str) -> Result<(Option<Self>, Option<String>), FieldError> {
        let mut ours: Option<Self> = None;
        let mut rest: Option<String> = None;
        for parameter in query.split('&') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let (field, from) = match name {
                RESUME => (RESUME, position(value).map(From::At)),
                SHIFT => (SHIFT, shift(value).map(From::Shift)),
                _ => {
                    match &mut rest {
                        None => rest = Some(parameter.to_owned()),
                        Some(rest) => {
                            rest.push('&');
                            rest.push_str(parameter);
                        }
                    }
                    continue;
                }
            };
            let error = |why: &str| FieldError {
                field,
                why: why.to_owned(),
            };
            let from = from.ok_or_else(|| {
                error(if field == RESUME {
                    "not EPOCH.OFFSET"
                } else {
                    "not seconds, with at most three decimals"
                })
            })?;
            if ours.replace(Self { from, ..Self::LIVE }).is_some() {
                return Err(error("says again where to start"));
            }
        }
        Ok((ours, rest.filter(|rest| !rest.is_empty())))
    }

    /// The field value. Time shift has none, it is written as `live`; `max-lag` has milliseconds.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = match self.from {
            From::At(at) => ItemSerializer::new()
                .bare_item(sf::integer(at.offset.get()))
                .parameter(sf::key("epoch"), sf::string(&at.epoch.to_string())),
            From::Live | From::Shift(_) => ItemSerializer::new().bare_item(sf::token("live")),
        };
        out = match self.miss {
            Miss::Oldest => out,
            Miss::Live => out.parameter(sf::key("miss"), sf::token("live")),
            Miss::Fail => out.parameter(sf::key("miss"), sf::token("fail")),
        };
        if let Some(max_lag) = self.max_lag {
            out = out.parameter(sf::key("max-lag"), &sf::encode_seconds(max_lag));
        }
        if let Some(session) = self.session {
            out = out.parameter(sf::key("session"), sf::string(&session.to_string()));
        }
        out.finish()
    }

    /// The query parameter that stands for the field or for time shift; `None` for a live join, which has none. The
    /// parameters of the field have no place in it.
    #[must_use]
    pub fn encode_query(&self) -> Option<String> {
        match self.from {
            From::Live => None,
            From::At(at) => Some(format!("{RESUME}={at}")),
            From::Shift(ago) if ago.subsec_millis() == 0 => {
                Some(format!("{SHIFT}={}", ago.as_secs()))
            }
            From::Shift(ago) => Some(format!(
                "{SHIFT}={}.{:03}",
                ago.as_secs(),
                ago.subsec_millis()
            )),
        }
    }
}

/// position = epoch "." 1*15DIGIT
fn position(value: &str) -> Option<Position> {
    let (epoch, offset) = value.split_once('.')?;
    Some(Position::new(
        epoch.parse().ok()?,
        Offset::new(digits(offset, 15)?)?,
    ))
}

/// shift = 1*12DIGIT [ "." 1*3DIGIT ]
fn shift(value: &str) -> Option<Duration> {
    let (seconds, fraction) = match value.split_once('.') {
        Some((seconds, fraction)) => (seconds, Some(fraction)),
        None => (value, None),
    };
    let ms = match fraction {
        Some(fraction) => digits(fraction, 3)? * [0, 100, 10, 1].get(fraction.len())?,
        None => 0,
    };
    Some(Duration::from_secs(digits(seconds, 12)?) + Duration::from_millis(ms))
}

fn digits(text: &str, most: usize) -> Option<u64> {
    let plain = (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}
