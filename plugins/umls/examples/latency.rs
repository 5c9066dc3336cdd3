//! How long opening and linking take: `latency INDEX MRCONSO [MENTIONS [CANDIDATES]]`. Mentions are made from English
//! names at random places of the file: as they are, as another order or number, with a wrong letter, with a word more
//! or less. Each mention's time is the least of three: of the processor (CLOCK_THREAD_CPUTIME_ID), and by the clock in
//! brackets; the last column is of the first time, when pages of the index that nobody read before are not yet mapped.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::time::{ClockId, clock_gettime};

use mednerd_umls::linker::{Document, Linker, Mention, Options, Settings};

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

fn sample(path: &Path, count: usize, random: &mut Random) -> io::Result<Vec<String>> {
    let mut file = BufReader::new(File::open(path)?);
    let length = file.get_ref().metadata()?.len() as usize;
    let mut names = Vec::new();
    let mut row = String::new();
    while names.len() < count {
        file.seek(SeekFrom::Start(random.below(length) as u64))?;
        file.read_line(&mut row)?;
        row.clear();
        file.read_line(&mut row)?;
        let cells: Vec<&str> = row.split('|').collect();
        if cells.len() > 16 && cells[1] == "ENG" && cells[16] == "N" {
            names.push(cells[14].to_owned());
        }
        row.clear();
    }
    Ok(names)
}

/// Kilobytes of memory that only this process has; pages of the index are the system's, which takes them back at will.
fn private_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let private = text
        .lines()
        .filter(|line| line.starts_with("Private_Dirty") || line.starts_with("Swap:"));
    private
        .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
        .sum()
}

/// Microseconds that this thread has had of the processor.
fn processor() -> Result<f64, nix::Error> {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
    Ok(time.tv_sec() as f64 * 1e6 + time.tv_nsec() as f64 / 1e3)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, index, names, ..] = &arguments[..] else {
        eprintln!("usage: latency INDEX MRCONSO [MENTIONS [CANDIDATES]]");
        std::process::exit(2);
    };
    let count = arguments.get(3).map_or(Ok(2000), |count| count.parse())?;
    let mut random = Random(7);
    let names = sample(Path::new(names), count, &mut random)?;
    let started = Instant::now();
    let linker = Linker::open(Settings {
        index: PathBuf::from(index),
        ..Settings::default()
    })?;
    println!(
        "open                    {:>9.3} ms",
        started.elapsed().as_secs_f64() * 1e3
    );

    let typo = |name: &str, random: &mut Random| {
        let mut letters: Vec<char> = name.chars().collect();
        let at = random.below(letters.len());
        letters[at] = 'q';
        letters.into_iter().collect::<String>()
    };
    let mut kinds: Vec<(&str, Vec<String>)> = vec![("exact", names.clone())];
    let turned = |name: &String| name.split(' ').rev().collect::<Vec<_>>().join(" ");
    kinds.push(("key (words turned)", names.iter().map(turned).collect()));
    kinds.push((
        "fuzzy (a wrong letter)",
        names.iter().map(|name| typo(name, &mut random)).collect(),
    ));
    let longer = |name: &String| format!("{name} suspected patient");
    kinds.push(("fuzzy (two words more)", names.iter().map(longer).collect()));
    let shorter = |name: &String| {
        name.rsplit_once(' ')
            .map_or(name.clone(), |(head, _)| head.to_owned())
    };
    kinds.push(("a word less", names.iter().map(shorter).collect()));
    // What a sieve sees in notes: two thirds of the mentions are names as they stand.
    let mix = (0..count).map(|_| {
        let kind = [0, 0, 0, 0, 0, 0, 1, 1, 2, 3][random.below(10)];
        kinds[kind].1[random.below(count)].clone()
    });
    let mix = mix.collect();
    kinds.push(("mix", mix));
    let options = Options {
        top_k: arguments.get(4).map_or(Ok(1), |count| count.parse())?,
        ..Options::default()
    };
    println!(
        "{:<24}{:>18}{:>18}{:>18}{:>18}{:>9}{:>20}  (microseconds)",
        "mentions", "mean", "p50", "p95", "p99", "linked", "first time, p99"
    );
    for (kind, texts) in &kinds {
        // The first time brings the pages of the file into memory, and on a busy machine one may be interrupted.
        let mut times = vec![[f64::INFINITY; 2]; texts.len()];
        let mut firsts = Vec::new();
        let mut linked = 0;
        for pass in 0..3 {
            for (time, text) in times.iter_mut().zip(texts) {
                let document = Document {
                    text,
                    mentions: &[Mention::within(text, 0..text.len(), "")],
                };
                let (started, before) = (Instant::now(), processor()?);
                let found = linker.link(&document, &options);
                let spent = [processor()? - before, started.elapsed().as_secs_f64() * 1e6];
                for (least, spent) in time.iter_mut().zip(spent) {
                    *least = least.min(spent);
                }
                linked += usize::from(pass == 0 && !found[0].is_empty());
            }
            if pass == 0 {
                firsts = times.clone();
            }
        }
        let sorted = |times: &[[f64; 2]]| {
            [0, 1].map(|which| {
                let mut times: Vec<f64> = times.iter().map(|time| time[which]).collect();
                times.sort_by(f64::total_cmp);
                times
            })
        };
        let ([cpu, wall], [first_cpu, first_wall]) = (sorted(&times), sorted(&firsts));
        let mean = |times: &[f64]| times.iter().sum::<f64>() / times.len() as f64;
        let at = |times: &[f64], share: f64| times[((times.len() - 1) as f64 * share) as usize];
        let both = |cpu: f64, wall: f64| format!("{cpu:.1} ({wall:.1})");
        println!(
            "{kind:<24}{:>18}{:>18}{:>18}{:>18}{linked:>9}{:>20}",
            both(mean(&cpu), mean(&wall)),
            both(at(&cpu, 0.5), at(&wall, 0.5)),
            both(at(&cpu, 0.95), at(&wall, 0.95)),
            both(at(&cpu, 0.99), at(&wall, 0.99)),
            both(at(&first_cpu, 0.99), at(&first_wall, 0.99)),
        );
    }
    println!(
        "private memory          {:>9.1} MB",
        private_memory() as f64 / 1e3
    );
    Ok(())
}
