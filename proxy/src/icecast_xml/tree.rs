//! XML as a small tree with line numbers. Hostile input ends in an error: size, depth and number of elements are bounded,
//! and no entity but the five of XML itself and character references is expanded.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};

use super::XmlError;

/// A configuration is no longer than this, in bytes.
pub(super) const MAX_BYTES: usize = 1 << 20;
/// Elements within elements, at most.
const MAX_DEPTH: usize = 16;
/// Attributes of an element, at most.
const MAX_ATTRIBUTES: usize = 32;
/// Elements, at most.
const MAX_ELEMENTS: usize = 20_000;

/// An element, what is in it, and where it begins.
#[derive(Debug, Default)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) children: Vec<Element>,
    /// All its own text, without white space around it.
    pub(super) text: String,
    /// From 1.
    pub(super) line: usize,
}

impl Element {
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The last of that name: Icecast lets a later one overwrite an earlier one.
    pub(super) fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().rev().find(|child| child.name == name)
    }
}

/// Counts lines as the reader moves on.
struct Lines<'a> {
    text: &'a [u8],
    at: usize,
    line: usize,
}

impl Lines<'_> {
    /// The line that byte `to` is in. Never goes back.
    fn at(&mut self, to: u64) -> usize {
        let to = usize::try_from(to).unwrap_or(usize::MAX);
        let to = to.clamp(self.at, self.text.len());
        let passed = self.text[self.at..to].iter();
        self.line += passed.filter(|byte| **byte == b'\n').count();
        self.at = to;
        self.line
    }
}

/// The root element of `text`.
pub(super) fn read(text: &str) -> Result<Element, XmlError> {
    if text.len() > MAX_BYTES {
        return Err(XmlError::new(1, format!("it is over {MAX_BYTES} bytes")));
    }
    let mut reader = Reader::from_str(text);
    let mut lines = Lines {
        text: text.as_bytes(),
        at: 0,
        line: 1,
    };
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    let mut elements = 0;
    loop {
        let line = lines.at(reader.buffer_position());
        let event = reader
            .read_event()
            .map_err(|error| XmlError::new(lines.at(reader.error_position()), error.to_string()))?;
        match event {
            Event::Start(start) => {
                elements += 1;
                if open.len() >= MAX_DEPTH || elements > MAX_ELEMENTS {
                    let why = "too many elements, or too deep in one another";
                    return Err(XmlError::new(line, why));
                }
                open.push(element(&start, line)?);
            }
            Event::Empty(start) => {
                elements += 1;
                if elements > MAX_ELEMENTS {
                    return Err(XmlError::new(line, "too many elements"));
                }
                close(element(&start, line)?, &mut open, &mut root, line)?;
            }
            Event::End(_) => {
                if let Some(element) = open.pop() {
                    close(element, &mut open, &mut root, line)?;
                }
            }
            Event::Text(text) => add(&mut open, &text),
            Event::CData(text) => add(&mut open, &text),
            Event::GeneralRef(entity) => {
                let bad = |why: String| XmlError::new(line, why);
                let character = entity.resolve_char_ref();
                let character = character.map_err(|error| bad(error.to_string()))?;
                let name = entity.to_string();
                match (character, resolve_predefined_entity(&name)) {
                    (Some(character), _) => add(&mut open, character.encode_utf8(&mut [0; 4])),
                    (None, Some(text)) => add(&mut open, text),
                    (None, None) => {
                        return Err(bad(format!("entities such as &{name}; are not followed")));
                    }
                }
            }
            Event::Decl(_) | Event::PI(_) | Event::DocType(_) | Event::Comment(_) => {}
            Event::Eof => break,
        }
    }
    let line = lines.line;
    if let Some(element) = open.last() {
        let why = format!("<{}> of line {} is not closed", element.name, element.line);
        return Err(XmlError::new(line, why));
    }
    root.ok_or_else(|| XmlError::new(line, "there is no element in it"))
}

fn add(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

fn close(
    mut element: Element,
    open: &mut [Element],
    root: &mut Option<Element>,
    line: usize,
) -> Result<(), XmlError> {
    element.text = element.text.trim().to_owned();
    match open.last_mut() {
        Some(parent) => parent.children.push(element),
        None if root.is_none() => *root = Some(element),
        None => return Err(XmlError::new(line, "there is a second root element")),
    }
    Ok(())
}

fn element(start: &BytesStart<'_>, line: usize) -> Result<Element, XmlError> {
    let mut attributes = Vec::new();
    for (number, attribute) in start.attributes().enumerate() {
        if number >= MAX_ATTRIBUTES {
            return Err(XmlError::new(line, "an element has too many attributes"));
        }
        let attribute = attribute.map_err(|error| XmlError::new(line, error.to_string()))?;
        let name = attribute.key.as_ref().to_owned();
        let value = quick_xml::escape::unescape(&attribute.value)
            .map_err(|error| XmlError::new(line, error.to_string()))?;
        attributes.push((name, value.into_owned()));
    }
    Ok(Element {
        name: start.name().as_ref().to_owned(),
        attributes,
        line,
        ..Element::default()
    })
}
