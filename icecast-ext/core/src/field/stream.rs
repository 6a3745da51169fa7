//! `Stream-Offset` and `Stream-Window`.

use sfv::{DictSerializer, ItemSerializer};

use super::sf::{self, Source, Values};
use super::{FieldError, STREAM_OFFSET, STREAM_WINDOW, StreamOffset, StreamWindow};
use crate::address::{Offset, Position, Window};

impl StreamOffset {
    /// Parses the field value.
    ///
    /// ```abnf
    /// Stream-Offset = sf-item
    ///   ; sf-integer from zero up
    ///   ; parameters: epoch sf-string, prelude sf-integer, session sf-string, spliced sf-boolean, lost sf-integer
    /// ```
    ///
    /// # Errors
    /// If it is anything else, or has no epoch (R-FIELD-3).
    pub fn parse(value: &[u8]) -> Result<Self, FieldError> {
        let item = sf::item(STREAM_OFFSET, value)?;
        let source = Source {
            field: STREAM_OFFSET,
            values: Values::Parameters(&item.params),
        };
        let offset = sf::count(&item.bare_item)
            .and_then(Offset::new)
            .ok_or_else(|| source.error("not an Integer from zero up"))?;
        let epoch = source
            .string("epoch")?
            .ok_or_else(|| source.missing("epoch"))?;
        let (spliced, lost) = (source.flag("spliced")?, source.count("lost")?);
        if spliced && lost.is_some() {
            return Err(source.error("both spliced and lost"));
        }
        Ok(Self {
            at: Position::new(epoch, offset),
            prelude: source.count("prelude")?.unwrap_or(0),
            session: source.string("session")?,
            spliced,
            lost,
        })
    }

    /// The field value.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = ItemSerializer::new()
            .bare_item(sf::integer(self.at.offset.get()))
            .parameter(sf::key("epoch"), sf::string(&self.at.epoch.to_string()))
            .parameter(sf::key("prelude"), sf::integer(self.prelude));
        if let Some(session) = self.session {
            out = out.parameter(sf::key("session"), sf::string(&session.to_string()));
        }
        if self.spliced {
            out = out.parameter(sf::key("spliced"), true);
        }
        if let Some(lost) = self.lost {
            out = out.parameter(sf::key("lost"), sf::integer(lost));
        }
        out.finish()
    }
}

impl StreamWindow {
    /// Parses the field value.
    ///
    /// ```abnf
    /// Stream-Window = sf-dictionary
    ///   ; first sf-integer, next sf-integer, rate sf-integer, epoch sf-string
    /// ```
    ///
    /// # Errors
    /// If it is anything else, or `first`, `next` or `epoch` is missing (R-FIELD-3).
    pub fn parse(value: &[u8]) -> Result<Self, FieldError> {
        let members = sf::dictionary(STREAM_WINDOW, value)?;
        let source = Source {
            field: STREAM_WINDOW,
            values: Values::Members(&members),
        };
        let first = source
            .offset("first")?
            .ok_or_else(|| source.missing("first"))?;
        let next = source
            .offset("next")?
            .ok_or_else(|| source.missing("next"))?;
        if first > next {
            return Err(source.error("first is beyond next"));
        }
        Ok(Self {
            epoch: source
                .string("epoch")?
                .ok_or_else(|| source.missing("epoch"))?,
            window: Window { first, next },
            rate: source.count("rate")?,
        })
    }

    /// The field value.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = DictSerializer::new();
        out.bare_item(sf::key("first"), sf::integer(self.window.first.get()));
        out.bare_item(sf::key("next"), sf::integer(self.window.next.get()));
        if let Some(rate) = self.rate {
            out.bare_item(sf::key("rate"), sf::integer(rate));
        }
        out.bare_item(sf::key("epoch"), sf::string(&self.epoch.to_string()));
        out.finish().unwrap_or_default()
    }
}
