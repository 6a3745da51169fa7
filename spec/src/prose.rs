//! `protocol.md`, read as far as its requirements need it: headings, paragraphs, ids.

/// A part of the text that stands between two blank lines, headings or tables, its line breaks and inline code as written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Paragraph {
    /// The heading above it, as a link's fragment.
    pub anchor: String,
    /// Lines joined by one space.
    pub text: String,
}

/// The paragraphs and list items of a Markdown text. Fenced code is left out.
#[must_use]
pub fn paragraphs(markdown: &str) -> Vec<Paragraph> {
    let mut out: Vec<Paragraph> = Vec::new();
    let (mut anchor, mut fenced, mut open) = (String::new(), false, false);
    for line in markdown.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
            open = false;
        } else if fenced {
        } else if let Some(title) = heading(line) {
            anchor = slug(title);
            open = false;
        } else if line.trim().is_empty() {
            open = false;
        } else if open && !is_item(line) && !line.starts_with('|') {
            if let Some(last) = out.last_mut() {
                last.text.push(' ');
                last.text.push_str(line.trim());
            }
        } else {
            out.push(Paragraph {
                anchor: anchor.clone(),
                text: line.trim().to_owned(),
            });
            open = true;
        }
    }
    out
}

/// The fragments of all headings, in order.
#[must_use]
pub fn anchors(markdown: &str) -> Vec<String> {
    let mut fenced = false;
    let mut out = Vec::new();
    for line in markdown.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if !fenced && let Some(title) = heading(line) {
            out.push(slug(title));
        }
    }
    out
}

/// The ids of the form `R-<CHAPTER>-<n>` in a text, in order, repeats included.
#[must_use]
pub fn ids(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    for (start, _) in text.match_indices("R-") {
        if text[..start].ends_with(|before: char| before.is_ascii_alphanumeric() || before == '-') {
            continue;
        }
        let after = &text[start + 2..];
        let chapter = after.bytes().take_while(u8::is_ascii_uppercase).count();
        let Some(number) = after[chapter..].strip_prefix('-') else {
            continue;
        };
        let digits = number.bytes().take_while(u8::is_ascii_digit).count();
        if chapter > 0 && digits > 0 {
            out.push(&text[start..start + 2 + chapter + 1 + digits]);
        }
    }
    out
}

/// The text without its inline code.
#[must_use]
pub fn without_code(text: &str) -> String {
    text.split('`').step_by(2).collect()
}

/// The words of a text, cut at everything that is neither a letter nor a digit.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric())
}

fn heading(line: &str) -> Option<&str> {
    let title = line.trim_start_matches('#');
    title.strip_prefix(' ').filter(|_| title.len() < line.len())
}

/// As GitHub makes fragments of headings.
fn slug(title: &str) -> String {
    title
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

fn is_item(line: &str) -> bool {
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    line.starts_with("- ") || (digits > 0 && line[digits..].starts_with(". "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_paragraphs_with_their_headings() {
        let text = "# One Two\nA\nb.\n\n```\n# no\n```\n## C-d `e`\n1. f\n   g\n2. h\n";
        let found: Vec<_> = paragraphs(text)
            .into_iter()
            .map(|paragraph| (paragraph.anchor, paragraph.text))
            .collect();
        let expected = [("one-two", "A b."), ("c-d-e", "1. f g"), ("c-d-e", "2. h")];
        assert_eq!(
            found,
            expected.map(|(anchor, text)| (anchor.to_owned(), text.to_owned()))
        );
        assert_eq!(anchors(text), ["one-two", "c-d-e"]);
    }

    #[test]
    fn finds_ids() {
        assert_eq!(
            ids("(R-FEED-3), R-A-12x FOR-B-1 R-x-1 R-C- R-D-7."),
            ["R-FEED-3", "R-A-12", "R-D-7"]
        );
    }

    #[test]
    fn leaves_code_out() {
        assert_eq!(without_code("a `MUST` b"), "a  b");
    }
}
