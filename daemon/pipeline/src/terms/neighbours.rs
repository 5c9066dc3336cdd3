//! What must stand beside a name, so that it is one: "CAP" is a capsule behind "300 mg" and before "daily", and pneumonia elsewhere.

use super::TermError;
use super::words::Words;

/// What a name is among the words beside it.
const NAME: &str = "_";
/// Any number: a word that begins with a digit.
const NUMBER: &str = "#";
/// Bytes of what a line says of them at most.
pub(super) const LONGEST: usize = 1024;

/// One of several things of which one must stand beside a name.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Beside {
    before: Vec<Word>,
    behind: Vec<Word>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Word {
    Number,
    /// Folded.
    Own(String),
}

/// What stands beside a name where it is one.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Condition(Vec<Beside>);

impl Condition {
    /// As lists write it: `no _; _ by mouth; # mg _`. `None` where there is nothing to meet.
    pub(super) fn read(written: &str) -> Result<Option<Self>, TermError> {
        if written.trim().is_empty() {
            return Ok(None);
        }
        if written.len() > LONGEST {
            return Err(TermError::LongBeside);
        }
        let all: Option<Vec<Beside>> = written.split(';').map(Beside::read).collect();
        all.map(|all| Some(Self(all))).ok_or(TermError::Beside)
    }

    /// Whether it is met beside these words.
    pub(super) fn is_met(&self, words: &Words<'_>, first: usize, last: usize) -> bool {
        self.0.iter().any(|beside| beside.stands(words, first, last))
    }
}

impl Beside {
    fn read(written: &str) -> Option<Self> {
        let (before, behind) = written.split_once(NAME)?;
        let one = Self {
            before: Word::read(before),
            behind: Word::read(behind),
        };
        let says_something = !(one.before.is_empty() && one.behind.is_empty());
        (says_something && !behind.contains(NAME)).then_some(one)
    }

    fn stands(&self, words: &Words<'_>, first: usize, last: usize) -> bool {
        let Some(from) = first.checked_sub(self.before.len()) else {
            return false;
        };
        let to = last + self.behind.len();
        let mut pairs = (from..).zip(&self.before).chain((last + 1..).zip(&self.behind));
        words.are_together(from, first)
            && words.are_together(last, to)
            && pairs.all(|(at, word)| word.is(words.word(at)))
    }
}

impl Word {
    fn read(written: &str) -> Vec<Self> {
        let words = Words::new(written);
        let read = (0..words.words.len()).map(|at| match words.word(at) {
            NUMBER => Self::Number,
            own => Self::Own(own.to_owned()),
        });
        read.collect()
    }

    fn is(&self, word: &str) -> bool {
        match self {
            Self::Number => word.starts_with(|c: char| c.is_ascii_digit()),
            Self::Own(own) => own == word,
        }
    }
}
