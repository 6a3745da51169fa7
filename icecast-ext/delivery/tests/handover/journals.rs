//! A journal is written by one process at a time.

use super::*;

fn journalled(journal: &Journal) -> Arc<Mount> {
    let mount = Mount::new("/live", quick());
    mount.attach(journal);
    mount
}

fn recalled(dir: &Path) -> (u64, Option<Offset>) {
    let journal = Journal::open(dir).unwrap();
    let mount = Mount::new("/live", quick());
    let loaded = mount.attach(&journal);
    let bytes = mount.tail(usize::MAX / 2);
    assert_content(1, 0, &bytes, "recalled");
    (loaded.bytes, loaded.edge.map(|at| at.offset))
}

#[test]
fn a_journal_is_written_by_one_process_and_then_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let one = Journal::open(dir.path()).unwrap();
    let before = journalled(&one);
    before.begin(run(1, 0));
    before.append(&content(1, 0, 1000), Some(0));
    before.pause_journal(true);
    one.sync();
    let two = Journal::take_over(dir.path(), one.share_lock().unwrap().unwrap()).unwrap();
    let after = Mount::new("/live", quick());
    after.restore(before.export()).unwrap();
    after.record_in(&two);
    one.release();
    drop((before, one));
    let taken = Journal::open(dir.path());
    assert!(
        matches!(taken, Err(Error::Locked { .. })),
        "it is the next one's"
    );
    after.append(&content(1, 1000, 500), Some(1));
    after.flush();
    two.sync();
    drop((after, two));
    assert_eq!(recalled(dir.path()), (1500, Some(offset(1500))));
}

#[test]
fn a_journal_that_was_not_taken_over_after_all_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let one = Journal::open(dir.path()).unwrap();
    let mount = journalled(&one);
    mount.begin(run(1, 0));
    mount.append(&content(1, 0, 1000), Some(0));
    mount.flush();
    mount.pause_journal(true);
    drop(Journal::take_over(dir.path(), one.share_lock().unwrap().unwrap()).unwrap());
    mount.append(&content(1, 1000, 300), Some(1));
    mount.flush();
    mount.pause_journal(false);
    mount.append(&content(1, 1300, 200), Some(2));
    mount.flush();
    drop((mount, one));
    // What came in between is not on disk, so what was before is of no use.
    let journal = Journal::open(dir.path()).unwrap();
    let mount = Mount::new("/live", quick());
    let loaded = mount.attach(&journal);
    assert_eq!(loaded.edge, Some(position(1, 1500)));
    assert_content(1, 1300, &mount.tail(usize::MAX / 2), "recalled");
    let elsewhere = tempfile::tempdir().unwrap();
    Journal::open(elsewhere.path()).unwrap();
    let foreign = Journal::take_over(elsewhere.path(), journal.share_lock().unwrap().unwrap());
    assert!(foreign.is_err(), "another directory's lock");
}
