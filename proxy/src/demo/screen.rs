//! The live table, and the last screen.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use super::board::{Board, Shared};
use super::judge::Verdict;

/// Between two redraws of the table.
const REDRAW: Duration = Duration::from_millis(200);
/// Between two lines where there is no terminal.
const LINE: Duration = Duration::from_secs(2);

/// The table, without colour, at most 80 columns wide.
pub(super) fn table(board: &Board) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "icecast-ext demo: a listener that is cut all the time       {:>6.1} of {} s\n",
        board.elapsed.as_secs_f64(),
        board.length.as_secs()
    );
    out.push_str("  source --> origin --+--> relay 1 --+\n");
    out.push_str("                      +--> relay 2 --+-- cut! --> listener\n\n");
    for (index, node) in board.nodes.iter().enumerate() {
        let state = if node.up { "up" } else { "KILLED" };
        let note = if index == 0 {
            format!("{} sent", grouped(board.sent))
        } else {
            let here = if board.current == Some(index) {
                "  <-- the listener is here"
            } else {
                ""
            };
            format!("killed {:>2} x{here}", node.kills)
        };
        let _ = writeln!(
            out,
            "  {:<9} {:<7} {:<16} {note}",
            node.name, state, node.address
        );
    }
    let cuts = board.cuts;
    let _ = writeln!(
        out,
        "\n  cuts      {:>12}   {} closed, {} reset, {} within the answer's head",
        cuts.all(),
        cuts.fin,
        cuts.rst,
        cuts.head
    );
    let _ = writeln!(out, "  moves     {:>12}   to another relay", board.moves);
    let _ = writeln!(
        out,
        "  kills     {:>12}   of relays, with SIGKILL",
        board.kills()
    );
    let _ = writeln!(
        out,
        "  titles    {:>12}   seen; {} missing, {} repeated or out of order",
        board.titles_seen, board.titles_missing, board.titles_wrong
    );
    let score = &board.score;
    let _ = writeln!(
        out,
        "  verified  {:>12}   bytes, each against its place in the source",
        grouped(score.verified)
    );
    let _ = writeln!(out, "  lost      {:>12}", grouped(score.lost));
    let _ = writeln!(out, "  repeated  {:>12}", grouped(score.repeated));
    let _ = writeln!(out, "  wrong     {:>12}", grouped(score.wrong));
    out
}

/// One line, for a file or a pipe.
pub(super) fn line(board: &Board) -> String {
    let place = board
        .current
        .and_then(|index| board.nodes.get(index))
        .map_or("-", |node| node.name);
    let down: Vec<&str> = board
        .nodes
        .iter()
        .filter(|node| !node.up)
        .map(|node| node.name)
        .collect();
    let down = if down.is_empty() {
        "all up".to_owned()
    } else {
        format!("{} killed", down.join(", "))
    };
    format!(
        "{:5.1} s  {:>9} bytes verified, {} lost, {} repeated, {} wrong; {} cuts, {} moves, {} kills; at {place}, {down}\n",
        board.elapsed.as_secs_f64(),
        grouped(board.score.verified),
        board.score.lost,
        board.score.repeated,
        board.score.wrong,
        board.cuts.all(),
        board.moves,
        board.kills(),
    )
}

/// The last screen: the table, the sums, and the verdict.
pub(super) fn last(board: &Board, verdict: &Verdict) -> String {
    let mut out = table(board);
    let _ = writeln!(out, "\n  received  sha256 {}", verdict.received);
    let _ = writeln!(out, "  source    sha256 {}", verdict.sent);
    for fault in &verdict.score.faults {
        let _ = writeln!(out, "  {fault}");
    }
    let complaints = board.complaints();
    if complaints.is_empty() {
        let _ = writeln!(
            out,
            "\nOK: cut {} times, moved {} times, {} relays killed: not one byte lost, repeated or wrong.",
            board.cuts.all(),
            board.moves,
            board.kills()
        );
    } else {
        let _ = writeln!(out, "\nFAILED: {}.", complaints.join("; "));
    }
    out
}

/// Shows the board until it is dropped.
pub(super) async fn show(shared: &Shared) {
    let terminal = std::io::stdout().is_terminal();
    let mut every = tokio::time::interval(if terminal { REDRAW } else { LINE });
    let mut drawn = 0;
    loop {
        every.tick().await;
        let board = shared.lock().clone();
        if terminal {
            let table = table(&board);
            redraw(&table, drawn);
            drawn = table.lines().count();
        } else {
            print(&line(&board));
        }
    }
}

/// Puts the last screen where [`show`] had the table.
pub(super) fn conclude(board: &Board, verdict: &Verdict) {
    let text = last(board, verdict);
    if std::io::stdout().is_terminal() {
        redraw(&text, table(board).lines().count());
    } else {
        print(&format!("\n{text}"));
    }
}

/// Over the `drawn` lines that stand there, each cleared as it is written so that nothing flickers.
fn redraw(text: &str, drawn: usize) {
    let mut out = String::new();
    if drawn > 0 {
        let _ = write!(out, "\x1b[{drawn}A");
    }
    for line in text.lines() {
        let _ = writeln!(out, "{line}\x1b[K");
    }
    out.push_str("\x1b[J");
    print(&out);
}

/// A reader that has gone, of a pipe say, is no reason to end: the exit status tells.
fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes());
    let _ = stdout.flush();
}

/// 1234567 as `1 234 567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::board::{Cuts, Node};
    use super::super::judge::Score;
    use super::*;

    fn board() -> Board {
        let node = |name, up, kills| Node {
            name,
            address: "127.0.0.1:40001".into(),
            up,
            kills,
        };
        Board {
            elapsed: Duration::from_millis(12_300),
            length: Duration::from_secs(40),
            nodes: vec![
                node("origin", true, 0),
                node("relay 1", false, 2),
                node("relay 2", true, 1),
            ],
            current: Some(2),
            cuts: Cuts {
                fin: 9,
                rst: 8,
                head: 5,
            },
            moves: 14,
            sent: 1_234_567,
            score: Score {
                verified: 1_200_000,
                ..Score::default()
            },
            ..Board::default()
        }
    }

    fn verdict() -> Verdict {
        Verdict {
            score: Score::default(),
            received: "ab".repeat(32),
            sent: "ab".repeat(32),
        }
    }

    #[test]
    fn the_table_fits_80_columns_and_says_where_the_listener_is() {
        let table = table(&board());
        assert!(table.lines().all(|line| line.len() <= 80), "{table}");
        let here: Vec<&str> = table
            .lines()
            .filter(|line| line.contains("listener is here"))
            .collect();
        assert!(here.len() == 1 && here[0].contains("relay 2"), "{table}");
        assert!(
            table.contains("KILLED") && table.contains("1 200 000") && table.contains("9 closed"),
            "{table}"
        );
    }

    #[test]
    fn a_clean_board_ends_well_and_any_fault_does_not() {
        assert!(last(&board(), &verdict()).contains("OK: cut 22 times"));
        let faults: [fn(&mut Board); 11] = [
            |board| board.hashes_differ = true,
            |board| board.score.lost = 1,
            |board| board.score.repeated = 1,
            |board| board.score.wrong = 1,
            |board| board.score.verified = 0,
            |board| board.titles_missing = 1,
            |board| board.titles_wrong = 1,
            |board| board.cuts = Cuts::default(),
            |board| board.moves = 0,
            |board| board.nodes.iter_mut().for_each(|node| node.kills = 0),
            |board| board.admitted = Some("7 bytes lost".into()),
        ];
        for fault in faults {
            let mut board = board();
            fault(&mut board);
            let text = last(&board, &verdict());
            assert!(text.contains("FAILED") && !text.contains("OK:"), "{text}");
        }
    }

    #[test]
    fn numbers_are_grouped_by_three() {
        let numbers = [0, 999, 1000, 1_234_567].map(grouped);
        assert_eq!(numbers, ["0", "999", "1 000", "1 234 567"]);
    }
}
