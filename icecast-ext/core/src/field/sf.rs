//! Structured Fields, as far as ours use them.

use std::str::FromStr;
use std::time::Duration;

use sfv::{
    BareItem, Decimal, Dictionary, Integer, Item, KeyRef, List, ListEntry, Parameters, StringRef,
    TokenRef, key_ref, string_ref,
};

use super::FieldError;
use crate::address::Offset;

/// Where values come from: parameters, or the members of a dictionary.
pub(super) struct Source<'a> {
    pub(super) field: &'static str,
    pub(super) values: Values<'a>,
}

pub(super) enum Values<'a> {
    Parameters(&'a Parameters),
    Members(&'a Dictionary),
}

pub(super) fn item(field: &'static str, value: &[u8]) -> Result<Item, FieldError> {
    parse(field, value)
}

pub(super) fn list(field: &'static str, value: &[u8]) -> Result<List, FieldError> {
    parse(field, value)
}

pub(super) fn dictionary(field: &'static str, value: &[u8]) -> Result<Dictionary, FieldError> {
    parse(field, value)
}

fn parse<T: sfv::FieldType>(field: &'static str, value: &[u8]) -> Result<T, FieldError> {
    let parsed = sfv::Parser::new(value).parse();
    parsed.map_err(|error| FieldError {
        field,
        why: error.to_string(),
    })
}

impl Source<'_> {
    pub(super) fn error(&self, why: impl Into<String>) -> FieldError {
        FieldError {
            field: self.field,
            why: why.into(),
        }
    }

    pub(super) fn missing(&self, name: &str) -> FieldError {
        self.error(format!("{name} is missing"))
    }

    fn get(&self, name: &str) -> Result<Option<&BareItem>, FieldError> {
        match self.values {
            Values::Parameters(parameters) => Ok(parameters.get(name)),
            Values::Members(members) => match members.get(name) {
                None => Ok(None),
                Some(ListEntry::Item(item)) => Ok(Some(&item.bare_item)),
                Some(ListEntry::InnerList(_)) => Err(self.error(format!("{name} is a list"))),
            },
        }
    }

    /// A value that `read` takes, or none at all.
    fn read<T>(
        &self,
        name: &str,
        what: &str,
        read: impl FnOnce(&BareItem) -> Option<T>,
    ) -> Result<Option<T>, FieldError> {
        self.get(name)?
            .map(|value| read(value).ok_or_else(|| self.error(format!("{name} is not {what}"))))
            .transpose()
    }

    /// A String that holds a `T`.
    pub(super) fn string<T: FromStr>(&self, name: &str) -> Result<Option<T>, FieldError> {
        self.read(name, "a String of 22 characters of base64url", |value| {
            value.as_string()?.as_str().parse().ok()
        })
    }

    /// A Token that `read` knows.
    pub(super) fn token<T>(
        &self,
        name: &str,
        what: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, FieldError> {
        self.read(name, what, |value| read(value.as_token()?.as_str()))
    }

    /// An Integer from zero up.
    pub(super) fn count(&self, name: &str) -> Result<Option<u64>, FieldError> {
        self.read(name, "an Integer from zero up", count)
    }

    /// An Integer from zero up that is an offset.
    pub(super) fn offset(&self, name: &str) -> Result<Option<Offset>, FieldError> {
        Ok(self.count(name)?.and_then(Offset::new))
    }

    /// An Integer or a Decimal from zero up.
    pub(super) fn seconds(&self, name: &str) -> Result<Option<Duration>, FieldError> {
        self.read(name, "an Integer or a Decimal from zero up", seconds)
    }

    /// A Byte Sequence of just so many octets.
    pub(super) fn octets<const N: usize>(&self, name: &str) -> Result<Option<[u8; N]>, FieldError> {
        self.read(name, &format!("a Byte Sequence of {N} octets"), octets)
    }

    /// A Boolean; false if it is not there.
    pub(super) fn flag(&self, name: &str) -> Result<bool, FieldError> {
        Ok(self
            .read(name, "a Boolean", BareItem::as_boolean)?
            .unwrap_or(false))
    }
}

pub(super) fn count(value: &BareItem) -> Option<u64> {
    u64::try_from(i64::from(value.as_integer()?)).ok()
}

pub(super) fn octets<const N: usize>(value: &BareItem) -> Option<[u8; N]> {
    value.as_byte_sequence()?.try_into().ok()
}

pub(super) fn seconds(value: &BareItem) -> Option<Duration> {
    if let Some(seconds) = count(value) {
        return Some(Duration::from_secs(seconds));
    }
    let ms = i64::from(value.as_decimal()?.as_integer_scaled_1000());
    u64::try_from(ms).ok().map(Duration::from_millis)
}

/// An Integer; its largest value if `value` is larger.
pub(super) fn integer(value: u64) -> Integer {
    i64::try_from(value)
        .ok()
        .and_then(|value| Integer::try_from(value).ok())
        .unwrap_or(Integer::MAX)
}

/// An Integer for whole seconds, a Decimal with milliseconds otherwise.
pub(super) fn encode_seconds(value: Duration) -> BareItem {
    if value.subsec_millis() == 0 {
        BareItem::Integer(integer(value.as_secs()))
    } else {
        let ms = u64::try_from(value.as_millis()).unwrap_or(u64::MAX);
        BareItem::Decimal(Decimal::from_integer_scaled_1000(integer(ms)))
    }
}

/// A key that is known to be one.
pub(super) const fn key(name: &'static str) -> &'static KeyRef {
    key_ref(name)
}

/// The text of an epoch or session, which is always a String.
pub(super) fn string(text: &str) -> &StringRef {
    StringRef::from_str(text).unwrap_or(string_ref(""))
}

/// A token that is known to be one.
pub(super) const fn token(name: &'static str) -> &'static TokenRef {
    sfv::token_ref(name)
}
