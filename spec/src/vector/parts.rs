//! Text that may be long.

use serde::Deserialize;

/// A text, or texts that are each repeated a number of times and joined.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(untagged)]
pub enum Parts {
    /// As it stands.
    Text(String),
    /// `[[text, times], …]`
    Repeated(Vec<(String, usize)>),
}

impl Parts {
    /// The whole text.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Repeated(parts) => parts
                .iter()
                .map(|(text, times)| text.repeat(*times))
                .collect(),
        }
    }

    /// Each character is an octet. `None` if one is above U+00FF.
    #[must_use]
    pub fn octets(&self) -> Option<Vec<u8>> {
        let text = self.text();
        text.chars().map(|c| u8::try_from(c).ok()).collect()
    }

    /// Hexadecimal digits, with spaces between octets wherever they please. `None` if it is anything else.
    #[must_use]
    pub fn hex(&self) -> Option<Vec<u8>> {
        let text: Vec<u8> = self.text().bytes().filter(|byte| *byte != b' ').collect();
        let (pairs, rest) = text.as_chunks::<2>();
        if !rest.is_empty() {
            return None;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16);
        pairs
            .iter()
            .map(|[high, low]| u8::try_from(digit(*high)? * 16 + digit(*low)?).ok())
            .collect()
    }
}
