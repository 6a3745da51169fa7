//! TOML with comments, line by line.

/// Columns of a comment.
const WIDTH: usize = 110;

/// Text that grows. Whatever comes from a file is quoted or made harmless here, so that a name cannot become an option.
#[derive(Debug, Default)]
pub(super) struct Page {
    text: String,
}

/// A TOML string on one line.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => {
                quoted.push_str(&format!("\\u{:04X}", u32::from(control)));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

impl Page {
    pub(super) fn text(self) -> String {
        self.text.trim_end().to_owned() + "\n"
    }

    pub(super) fn blank(&mut self) {
        if !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    fn wrapped(&mut self, text: &str, first: &str, then: &str) {
        let mut line = String::from(first);
        let mut empty = true;
        for word in
            text.split(|character: char| character.is_whitespace() || character.is_control())
        {
            if !empty && line.len() + word.len() >= WIDTH {
                self.text.push_str(&line);
                self.text.push('\n');
                line = String::from(then);
                empty = true;
            }
            if !empty {
                line.push(' ');
            }
            line.push_str(word);
            empty = false;
        }
        self.text.push_str(&line);
        self.text.push('\n');
    }

    /// A paragraph.
    pub(super) fn comment(&mut self, text: &str) {
        self.wrapped(text, "# ", "# ");
    }

    /// A point of a list.
    pub(super) fn item(&mut self, text: &str) {
        self.wrapped(text, "#  - ", "#    ");
    }

    /// The reason of the next line.
    pub(super) fn why(&mut self, text: &str) {
        self.comment(text);
    }

    /// An option; `value` is TOML.
    pub(super) fn plain(&mut self, name: &str, value: &str) {
        self.text.push_str(&format!("{name} = {value}\n"));
    }

    pub(super) fn string(&mut self, name: &str, value: &str) {
        self.plain(name, &quoted(value));
    }

    pub(super) fn strings(&mut self, name: &str, values: &[String]) {
        let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
        self.plain(name, &format!("[{}]", values.join(", ")));
    }

    /// An option that is not switched on; `value` is TOML.
    pub(super) fn off(&mut self, name: &str, value: &str) {
        self.text.push_str(&format!("# {name} = {value}\n"));
    }

    pub(super) fn table(&mut self, name: &str) {
        self.text.push_str(&format!("[{name}]\n"));
    }

    pub(super) fn tables(&mut self, name: &str) {
        self.text.push_str(&format!("[[{name}]]\n"));
    }
}
