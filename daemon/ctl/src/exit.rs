//! The exit codes, in one place for the program, its help and its man pages.

use std::process::ExitCode;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Everything that was asked for was done.
    Fine = 0,
    /// The command line makes no sense.
    Usage = 2,
    /// There is no daemon, or none that gives an answer.
    Unreachable = 3,
    /// The daemon answered and said no.
    Refused = 4,
    /// A part was not done, or something is wrong.
    Partly = 5,
}

impl Exit {
    /// All of them, in order.
    pub const ALL: [Self; 5] = [
        Self::Fine,
        Self::Usage,
        Self::Unreachable,
        Self::Refused,
        Self::Partly,
    ];

    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// What it means, for help and man pages.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Fine => "Everything that was asked for was done.",
            Self::Usage => "The command line makes no sense; nothing was done.",
            Self::Unreachable => {
                "The daemon cannot be reached, broke the connection, or gave no usable answer in time."
            }
            Self::Refused => {
                "The daemon refused the one request, or every one of several; or a plugin or model is not what it must be."
            }
            Self::Partly => {
                "A part was not done, or something is wrong: an input could not be read or is not UTF-8 (also where it \
                 is the only one), some of several requests failed, the daemon left out a stage, \
                 the output could not be written; an audit trail was altered, doctor found something that does not work, \
                 or a listed plugin or model cannot be loaded or is not what was installed."
            }
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_interface() {
        assert_eq!(Exit::ALL.map(Exit::code), [0, 2, 3, 4, 5]);
    }
}
