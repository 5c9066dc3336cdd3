//! The audit trail as somebody has left it: read, verified and gone on with. A sound trail in which anything was changed is no longer sound.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use mednerd_audit::{Entry, Event, Key, Peer, Trail, Verifier, files, parts};
use mednerd_fuzz::{Input, folder, seeds};

static SOUND: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = folder().join("sound");
    std::fs::create_dir_all(&folder).unwrap();
    let mut trail = Trail::open(&folder, key()).unwrap();
    for (event, status) in [
        (Event::Started, ""),
        (Event::Document, "ok"),
        (Event::Denied, "denied"),
        (Event::Document, "failed"),
    ] {
        let peer = Some(Peer {
            uid: 7,
            gid: 8,
            pid: Some(9),
            exe: Some("/usr/bin/curl".into()),
        });
        let entry = Entry {
            event,
            status: status.into(),
            peer,
            text_bytes: Some(3),
            duration_ms: Some(0.5),
            ..Entry::default()
        };
        trail.append(&entry, 1 << 20, false).unwrap();
    }
    drop(trail);
    std::fs::read(folder.join("audit.ndjson")).unwrap()
});

fn key() -> Key {
    Key::new(&[7; 32])
}

fuzz_target!(
    init: {
        let sound = &SOUND;
        let edits = [vec![0, 1, 5, 0, 0x20], vec![0, 2, 200, 1, 3, 0, 40, 0]];
        seeds(edits.into_iter().chain([[&[1, 0][..], sound].concat(), [&[1, 0, b'{'][..], sound].concat()]));
    },
    |bytes: &[u8]| {
        let mut input = Input(bytes);
        let is_edited = input.below(2) == 0;
        let text = if is_edited { edited(&mut input) } else { input.0.to_vec() };
        let folder = folder().join("trail");
        std::fs::create_dir_all(&folder).unwrap();
        for path in files(&folder).unwrap() {
            std::fs::remove_file(path).unwrap();
        }
        // In two files, sometimes.
        let cut = text.iter().position(|byte| *byte == b'\n').filter(|_| text.len() % 3 == 0).map_or(0, |at| at + 1);
        if cut > 0 {
            std::fs::write(folder.join("audit-000000000002.ndjson"), &text[..cut]).unwrap();
        }
        // One that does not end is waited for.
        let mut rest = text[cut..].to_vec();
        if !rest.is_empty() && !rest.ends_with(b"\n") {
            rest.push(b'\n');
        }
        std::fs::write(folder.join("audit.ndjson"), rest).unwrap();
        let own = key();
        let report = Verifier::new(parts(&folder).unwrap(), Some(&own)).all().unwrap();
        let unkeyed = Verifier::new(parts(&folder).unwrap(), None).all().unwrap();
        assert!(unkeyed.faults.len() <= report.faults.len());
        if report.faults.is_empty() {
            // Whole records of the trail from some record on: nothing else can be made without the key.
            let whole = text.trim_ascii_end();
            assert!(whole.is_empty() || SOUND.windows(whole.len()).any(|part| part == whole), "a change that nobody sees");
        }
        for fault in &report.faults {
            assert!(!fault.to_string().is_empty());
        }
        let before = report.faults.len();
        // What is written behind it is sound, whatever it is behind.
        let Ok(mut trail) = Trail::open(&folder, key()) else { return };
        let entry = Entry { status: "ok".into(), ..Entry::default() };
        for _ in 0..3 {
            trail.append(&entry, 600, false).unwrap();
        }
        let last = trail.last().clone();
        drop(trail);
        let report = Verifier::new(parts(&folder).unwrap(), Some(&own)).all().unwrap();
        assert_eq!((report.last, &report.head), (last.seq, &last.chain));
        assert!(report.records >= 2 && report.faults.len() <= before + 1, "{before} faults, and behind them {:?}", report.faults);
    }
);

/// The sound trail with some bytes changed, taken out or put in.
fn edited(input: &mut Input<'_>) -> Vec<u8> {
    let mut text = SOUND.clone();
    for _ in 0..20 {
        if input.is_empty() || text.is_empty() {
            break;
        }
        let kind = input.below(4);
        let at = input.below(text.len());
        match kind {
            0 => text[at] ^= input.take::<1>()[0],
            1 => text.insert(at, input.take::<1>()[0]),
            2 => drop(text.drain(at..(at + input.below(900)).min(text.len()))),
            // A line once more, or another's place.
            _ => {
                let lines: Vec<Vec<u8>> = text
                    .split_inclusive(|byte| *byte == b'\n')
                    .map(<[u8]>::to_vec)
                    .collect();
                let line = lines[at % lines.len()].clone();
                let place = input.below(text.len());
                text.splice(place..place, line);
            }
        }
    }
    text
}
