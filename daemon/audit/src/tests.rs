use std::fs;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;
use crate::verify::Flaw;

fn key() -> Key {
    Key::new(&[7; 32])
}

fn entry(number: u64) -> Entry {
    Entry {
        peer: Some(Peer {
            uid: 1000,
            gid: 1000,
            pid: Some(17),
            exe: None,
        }),
        status: "ok".to_owned(),
        document_id: Some(format!("note-{number}")),
        text_hmac: Some(key().text(b"text")),
        entities: Some(number),
        duration_ms: Some(1.25),
        ..Entry::default()
    }
}

/// Writes `count` records in files of at most `max_bytes`.
fn write(folder: &Path, count: u64, max_bytes: u64) {
    let mut trail = Trail::open(folder, key()).unwrap();
    for number in 0..count {
        trail.append(&entry(number), max_bytes, false).unwrap();
    }
}

fn verify(folder: &Path) -> Report {
    Verifier::new(parts(folder).unwrap(), Some(&key())).all().unwrap()
}

/// Of a trail that nobody writes to.
fn verify_at_rest(folder: &Path) -> Report {
    let key = key();
    let mut verifier = Verifier::new(parts(folder).unwrap(), Some(&key));
    verifier.looks = 0;
    verifier.all().unwrap()
}

#[test]
fn a_trail_is_read_back_over_restarts_and_rotation() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..4 {
        write(folder.path(), 25, 4_000);
    }
    let names = files(folder.path()).unwrap();
    assert!(names.len() > 3, "{names:?}");
    for path in &names {
        assert!(path.metadata().unwrap().len() <= 4_000);
    }
    let report = verify(folder.path());
    assert_eq!((report.records, report.first, report.last), (100, 1, 100));
    assert_eq!(report.faults, []);
    let mut verifier = Verifier::new(names, None);
    let first = verifier.next_record().unwrap().unwrap();
    assert_eq!(first.entry, entry(0));
    assert_eq!(first.seq, 1);
}

#[test]
fn what_a_crash_left_half_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 3, 1 << 20);
    let path = folder.path().join("audit.ndjson");
    let whole = fs::read(&path).unwrap();
    for cut in [1, 10, whole.len() / 3 - 1] {
        fs::write(&path, [&whole[..], &whole[..cut]].concat()).unwrap();
        drop(Trail::open(folder.path(), key()).unwrap());
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
    fs::write(&path, &whole[..40]).unwrap();
    assert_eq!(Trail::open(folder.path(), key()).unwrap().last().seq, 0);
    assert_eq!(fs::read(&path).unwrap(), b"");
}

#[test]
fn a_trail_that_is_put_aside_while_it_is_read_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 20, 2_000);
    let seen = parts(folder.path()).unwrap();
    // More than one file further, and some more while it is looked at.
    write(folder.path(), 20, 2_000);
    let report = Verifier::new(seen, Some(&key())).all().unwrap();
    assert_eq!((report.faults, report.first), (vec![], 1));
    assert!(report.last >= 20, "{}", report.last);
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| write(folder.path(), 2_000, 2_000));
        let mut last = 40;
        while !writing.is_finished() {
            let report = Verifier::new(parts(folder.path()).unwrap(), Some(&key()))
                .all()
                .unwrap();
            assert_eq!(report.faults, []);
            assert!(report.last >= last, "records of before are missed");
            last = report.last;
        }
    });
}

#[test]
fn the_end_of_a_record_that_is_being_written_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 2, 1 << 20);
    let path = folder.path().join("audit.ndjson");
    let whole = fs::read(&path).unwrap();
    let (begun, rest) = whole.split_at(whole.len() - 100);
    fs::write(&path, begun).unwrap();
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| verify(folder.path()));
        let mut file = fs::File::options().append(true).open(&path).unwrap();
        std::io::Write::write_all(&mut file, rest).unwrap();
        assert_eq!(reading.join().unwrap().faults, []);
    });
}

#[test]
fn a_file_is_put_aside_when_the_next_has_its_first_record() {
    let folder = tempfile::tempdir().unwrap();
    let mut trail = Trail::open(folder.path(), key()).unwrap();
    trail.append(&entry(1), 1, false).unwrap();
    // Nothing can be written to the next file, as on a full disk.
    let next = folder.path().join("audit.ndjson.next");
    fs::create_dir(&next).unwrap();
    assert!(trail.append(&entry(2), 1, false).is_err());
    assert_eq!(files(folder.path()).unwrap().len(), 1, "nothing is put aside");
    fs::remove_dir(&next).unwrap();
    assert_eq!(trail.append(&entry(2), 1, false).unwrap().seq, 2);
    assert_eq!(trail.append(&entry(3), 1, true).unwrap().seq, 3);
    // What was put aside may be archived: the trail goes on by its own file alone.
    drop(trail);
    for path in files(folder.path()).unwrap() {
        if !path.ends_with("audit.ndjson") {
            fs::remove_file(path).unwrap();
        }
    }
    write(folder.path(), 1, 1);
    let report = verify(folder.path());
    assert_eq!((report.faults, report.first, report.last), (vec![], 3, 4));
}

#[test]
fn what_a_crash_left_of_a_rotation_is_ended_or_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 2, 1);
    let [current, next, aside] = ["audit.ndjson", "audit.ndjson.next", "audit-000000000003.ndjson"]
        .map(|name| folder.path().join(name));
    // Before the file was put aside: the record was never in the trail.
    fs::write(&next, "{\"half").unwrap();
    write(folder.path(), 1, 1 << 20);
    assert!(!next.exists());
    // Between that and the next one's coming into its place.
    let lines = fs::read_to_string(&current).unwrap();
    let (second, third) = lines.split_at(lines.find('\n').unwrap() + 1);
    fs::write(&aside, second).unwrap();
    fs::write(&next, third).unwrap();
    fs::remove_file(&current).unwrap();
    write(folder.path(), 1, 1 << 20);
    let report = verify(folder.path());
    assert_eq!((report.faults, report.first, report.last), (vec![], 1, 4));
}

#[test]
fn one_writer_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let first = Trail::open(folder.path(), key()).unwrap();
    let second = Trail::open(folder.path(), key()).unwrap_err();
    assert!(second.to_string().contains("another process"), "{second}");
    drop(first);
    Trail::open(folder.path(), key()).unwrap();
}

#[test]
fn a_file_that_was_taken_away_under_the_writer_is_missed() {
    let folder = tempfile::tempdir().unwrap();
    let mut trail = Trail::open(folder.path(), key()).unwrap();
    trail.append(&entry(1), 1 << 20, false).unwrap();
    let path = folder.path().join("audit.ndjson");
    fs::remove_file(&path).unwrap();
    trail.append(&entry(2), 1 << 20, false).unwrap();
    trail.append(&entry(3), 1 << 20, false).unwrap();
    let report = verify(folder.path());
    assert_eq!((report.first, report.last), (2, 3), "{report:?}");
    // Emptied, not removed.
    fs::write(&path, "").unwrap();
    trail.append(&entry(4), 1 << 20, false).unwrap();
    assert_eq!(verify(folder.path()).last, 4);
}

#[test]
fn what_is_taken_out_or_swapped_is_found() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 5, 1 << 20);
    let path = folder.path().join("audit.ndjson");
    let whole = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let faults = |lines: &[&str]| {
        fs::write(&path, lines.join("\n") + "\n").unwrap();
        verify(folder.path()).faults
    };
    let out = faults(&[lines[0], lines[2], lines[3], lines[4]]);
    assert_eq!(
        out.iter().map(|fault| &fault.flaw).collect::<Vec<_>>(),
        [&Flaw::Unlinked {
            expected: 2,
            found: 3
        }]
    );
    assert!(!faults(&[lines[0], lines[2], lines[1], lines[3], lines[4]]).is_empty());
    assert!(!faults(&[lines[0], lines[0], lines[1]]).is_empty());
    assert_eq!(faults(&lines), []);
    let other = Key::new(&[8; 32]);
    let report = Verifier::new(files(folder.path()).unwrap(), Some(&other))
        .all()
        .unwrap();
    assert_eq!(report.faults.len(), 5);
}

#[test]
fn a_newer_format_is_not_misread() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 1, 1 << 20);
    let path = folder.path().join("audit.ndjson");
    let newer = fs::read_to_string(&path)
        .unwrap()
        .replace("\"format\":1", "\"format\":2");
    fs::write(&path, newer).unwrap();
    assert_eq!(verify(folder.path()).faults[0].flaw, Flaw::Unreadable);
}

#[test]
fn a_full_disk_takes_nothing_and_recovers() {
    // A folder without write permission stands in for a full disk where the test is not root's.
    let folder = tempfile::tempdir().unwrap();
    let mut trail = Trail::open(folder.path(), key()).unwrap();
    trail.append(&entry(1), 1 << 20, false).unwrap();
    trail.probe(Duration::ZERO).unwrap();
    let path = folder.path().join("audit.ndjson");
    let aside = folder.path().join("aside");
    fs::rename(&path, &aside).unwrap();
    fs::remove_file(&aside).unwrap();
    fs::create_dir(&path).unwrap();
    // Seen at once, however short ago it was written to.
    assert!(trail.probe(Duration::MAX).is_err());
    assert!(trail.probe(Duration::MAX).is_err());
    assert!(trail.append(&entry(2), 1 << 20, false).is_err());
    fs::remove_dir(&path).unwrap();
    trail.probe(Duration::MAX).unwrap();
    assert_eq!(trail.append(&entry(2), 1 << 20, false).unwrap().seq, 2);
}

#[test]
fn what_is_known_is_not_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut trail = Trail::open(folder.path(), key()).unwrap();
    let file = fs::File::options()
        .append(true)
        .open(folder.path().join("audit.ndjson"))
        .unwrap();
    let mut is_tried = |believed| {
        file.set_modified(UNIX_EPOCH).unwrap();
        trail.probe(believed).unwrap();
        file.metadata().unwrap().modified().unwrap() != UNIX_EPOCH
    };
    assert!(is_tried(Duration::MAX), "nothing was written yet");
    assert!(!is_tried(Duration::MAX));
    assert!(is_tried(Duration::ZERO));
    assert_eq!(file.metadata().unwrap().len(), 0);
}

#[test]
fn what_has_not_reached_the_disk_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let mut trail = Trail::open(folder.path(), key()).unwrap();
    assert!(trail.unsynced().unwrap().is_none(), "nothing was written");
    trail.append(&entry(1), 1 << 20, true).unwrap();
    assert!(trail.unsynced().unwrap().is_none(), "it is on the disk");
    trail.append(&entry(2), 1 << 20, false).unwrap();
    trail.append(&entry(3), 1 << 20, true).unwrap();
    trail.append(&entry(4), 1 << 20, false).unwrap();
    let file = trail.unsynced().unwrap().unwrap();
    file.sync_data().unwrap();
    assert!(trail.unsynced().unwrap().is_none(), "it was taken");
    assert_eq!(verify(folder.path()).records, 4);
}

proptest! {
    #[test]
    fn an_edit_of_any_byte_is_found(at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 3, 1 << 20);
        let path = folder.path().join("audit.ndjson");
        let mut bytes = fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        fs::write(&path, bytes).unwrap();
        prop_assert!(!verify_at_rest(folder.path()).faults.is_empty());
    }

    #[test]
    fn hostile_lines_are_faults_and_no_more(lines in prop::collection::vec(any::<Vec<u8>>(), 0..8)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.ndjson");
        let bytes = lines.join(&b'\n');
        fs::write(&path, &bytes).unwrap();
        prop_assert_eq!(verify_at_rest(folder.path()).records, 0);
        Trail::open(folder.path(), key()).unwrap().append(&entry(1), 1 << 20, false).unwrap();
    }
}
