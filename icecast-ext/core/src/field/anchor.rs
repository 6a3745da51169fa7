//! `Resume-Anchor` and `Stream-Proof`: a place that is proven by content.

use sfv::{BareItem, ItemSerializer, ListEntry, ListSerializer};

use super::sf::{self, Source, Values};
use super::{FieldError, RESUME_ANCHOR, STREAM_PROOF};
use crate::anchor::{Chunk, ChunkId, Evidence, MAX_CHUNKS, MAX_TAIL, MIN_CHUNK, Sum, Unproven};

/// Octets of `Resume-Anchor` at most. What [`Evidence::encode`] writes fits, whatever is in it.
pub const MAX_RESUME_ANCHOR: usize = 1536;

/// `Stream-Proof`: why an answer goes on at another address, or why not (R-ANCHOR-16, R-ANCHOR-17, R-ALIAS-4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proof {
    /// The body goes on where the client's bytes ended, at the position in `Stream-Offset`.
    Anchor,
    /// As [`Proof::Anchor`], because the position asked for is another name of this one (R-ALIAS-4).
    Alias,
    /// Nothing is proven; the answer is the one that the request would have got without evidence.
    None {
        /// The reason, if it is one of those that are known here.
        why: Option<Unproven>,
    },
}

impl Evidence {
    /// Parses the field's lines, joined as RFC 9110 section 5.3 says.
    ///
    /// ```abnf
    /// Resume-Anchor = sf-list          ; tail, then 1 to 44 chunks
    /// tail  = sf-integer parameters    ; 0 to 65536; age and lag sf-integer / sf-decimal, sum sf-binary of 16 octets
    /// chunk = sf-binary parameters     ; 12 octets; n sf-integer, 1024 to 4294967295
    /// ```
    ///
    /// # Errors
    /// If it is anything else, or longer than [`MAX_RESUME_ANCHOR`] (R-ANCHOR-5).
    pub fn parse(value: &[u8]) -> Result<Self, FieldError> {
        let error = |why: &str| FieldError {
            field: RESUME_ANCHOR,
            why: why.to_owned(),
        };
        if value.len() > MAX_RESUME_ANCHOR {
            return Err(error("too long"));
        }
        let members = sf::list(RESUME_ANCHOR, value)?;
        let mut items = members.iter().map(|member| match member {
            ListEntry::Item(item) => Ok(item),
            ListEntry::InnerList(_) => Err(error("has a list in it")),
        });
        let tail = items.next().ok_or_else(|| error("is empty"))??;
        let source = source(&tail.params);
        let mut evidence = Self {
            age: source
                .seconds("age")?
                .ok_or_else(|| source.missing("age"))?,
            lag: source.seconds("lag")?.unwrap_or_default(),
            tail: sf::count(&tail.bare_item)
                .and_then(|tail| u32::try_from(tail).ok())
                .filter(|tail| *tail <= MAX_TAIL)
                .ok_or_else(|| error("does not begin with an Integer from 0 to 65536"))?,
            sum: Sum(source.octets("sum")?.ok_or_else(|| source.missing("sum"))?),
            chunks: Vec::with_capacity(MAX_CHUNKS),
        };
        for item in items {
            evidence.chunks.push(chunk(item?)?);
        }
        match evidence.chunks.len() {
            1..=MAX_CHUNKS => Ok(evidence),
            _ => Err(error(&format!("has not 1 to {MAX_CHUNKS} chunks"))),
        }
    }

    /// The field value. Times have milliseconds.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = ListSerializer::new();
        let tail = out
            .bare_item(sf::integer(self.tail.into()))
            .parameter(sf::key("age"), &sf::encode_seconds(self.age));
        let tail = match self.lag.as_millis() {
            0 => tail,
            _ => tail.parameter(sf::key("lag"), &sf::encode_seconds(self.lag)),
        };
        let _ = tail.parameter(sf::key("sum"), &self.sum.0[..]);
        for chunk in &self.chunks {
            let _ = out
                .bare_item(&chunk.id.0[..])
                .parameter(sf::key("n"), sf::integer(chunk.len.into()));
        }
        out.finish().unwrap_or_default()
    }
}

fn source(parameters: &sfv::Parameters) -> Source<'_> {
    Source {
        field: RESUME_ANCHOR,
        values: Values::Parameters(parameters),
    }
}

fn chunk(item: &sfv::Item) -> Result<Chunk, FieldError> {
    let source = source(&item.params);
    let id = sf::octets(&item.bare_item)
        .ok_or_else(|| source.error("has a chunk that is not a Byte Sequence of 12 octets"))?;
    let len = source.count("n")?.ok_or_else(|| source.missing("n"))?;
    let len = u32::try_from(len).ok().filter(|len| *len >= MIN_CHUNK);
    Ok(Chunk {
        id: ChunkId(id),
        len: len.ok_or_else(|| source.error("n is not from 1024 to 4294967295"))?,
    })
}

impl Proof {
    /// Parses the field value.
    ///
    /// ```abnf
    /// Stream-Proof = sf-token parameters   ; "anchor", "alias", or "none" with why sf-token
    /// ```
    ///
    /// # Errors
    /// If it is anything else (R-ANCHOR-19).
    pub fn parse(value: &[u8]) -> Result<Self, FieldError> {
        let item = sf::item(STREAM_PROOF, value)?;
        let source = Source {
            field: STREAM_PROOF,
            values: Values::Parameters(&item.params),
        };
        match item.bare_item.as_token().map(|token| token.as_str()) {
            Some("anchor") => Ok(Self::Anchor),
            Some("alias") => Ok(Self::Alias),
            Some("none") => Ok(Self::None {
                why: source
                    .token("why", "a Token", |why| Some(Unproven::named(why)))?
                    .flatten(),
            }),
            _ => Err(source.error("neither anchor, alias nor none")),
        }
    }

    /// The field value.
    #[must_use]
    pub fn encode(&self) -> String {
        let word = |word: &str| sfv::Token::from_string(word.to_owned()).map(BareItem::Token);
        match self {
            Self::Anchor => ItemSerializer::new()
                .bare_item(sf::token("anchor"))
                .finish(),
            Self::Alias => ItemSerializer::new().bare_item(sf::token("alias")).finish(),
            Self::None { why } => {
                let none = ItemSerializer::new().bare_item(sf::token("none"));
                match why.and_then(|why| word(&why.to_string()).ok()) {
                    Some(why) => none.parameter(sf::key("why"), &why).finish(),
                    None => none.finish(),
                }
            }
        }
    }
}
