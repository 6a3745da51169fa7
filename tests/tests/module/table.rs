//! All scenarios at a glance, which `./test` shows at its end, and everything that each has seen, in a file for each run.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Mutex;

use super::*;

/// Adds a scenario, and writes the table anew.
pub(crate) fn add(name: &str, second: &str, stock: Option<&Seen>, with: Option<&Seen>) {
    static ROWS: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let all = dir.join("module");
    std::fs::create_dir_all(&all).unwrap();
    let mut row = format!("{name:<25}");
    for (who, seen) in [("stock", stock), (second, with)] {
        let file = format!("{}-{who}.txt", name.replace([' ', '/'], "-"));
        std::fs::write(
            all.join(file),
            seen.map(Seen::to_string).unwrap_or_default(),
        )
        .unwrap();
        let short = seen.map_or("failed", |seen| &seen.short);
        let _ = write!(row, " {:<42.42}", short);
    }
    let _ = match (stock, with) {
        (Some(stock), Some(with)) if stock.compare(with).is_empty() => {
            write!(row, " yes, {}", with.count())
        }
        _ => write!(row, " NO"),
    };
    let mut rows = ROWS.lock().unwrap();
    rows.insert(name.to_owned(), row);
    let rows: Vec<_> = rows.values().map(String::as_str).collect();
    let head = format!(
        "\n{:<25} {:<42} {:<42} same? observations\n",
        "scenario", "stock", second
    );
    std::fs::write(dir.join("module.txt"), head + &rows.join("\n") + "\n").unwrap();
}
