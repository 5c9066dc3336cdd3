//! HL7 v2 messages and the map of their text: it keeps the contract, and what was copied stands in the message as it is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mednerd_fuzz::{Input, seeds};
use mednerd_plugin::contract;

/// The example as it is, but for its attributes: it is a library that exports one symbol.
#[allow(missing_docs, dead_code)]
mod example {
    include!(concat!(env!("OUT_DIR"), "/hl7v2.rs"));

    /// Decodes a message, of these characters where it does not say its own.
    pub fn decode(bytes: &[u8], characters: usize) -> Option<Decoded> {
        let all = ["", "8859/1", "8859/15", "windows-1252"];
        let characters = Preset::try_from(all[characters].to_owned()).ok();
        let options = Options { characters };
        Hl7 { options }.decode(bytes, || Ok(())).ok()
    }
}

const ODD: &[u8] = b"\x0bMSH|^~\\&|LAB||||||||||||||||8859/1\rOBX|1|FT|||na\xefve \\T\\ caf\xe9~\\X0D\\ \\.br\\\\H\\x\\N\\\nNTE|1||a\\E\\b\n\x1c\r";

fuzz_target!(
    init: seeds([&include_bytes!("../../../plugins/examples/hl7v2/sample.hl7")[..], ODD].map(|seed| [&[0, 0], seed].concat())),
    |bytes: &[u8]| {
        let mut input = Input(bytes);
        let characters = input.below(4);
        let message = input.0;
        let Some(decoded) = example::decode(message, characters) else {
            return;
        };
        contract::decoded(&decoded, message, 4 * message.len()).unwrap();
        if let Ok(text) = std::str::from_utf8(message)
            && example::decode(message, 0).as_ref() == Some(&decoded)
        {
            contract::on_characters(&decoded, text).unwrap();
        }
        let mut last = (0, 0);
        for (begin, c) in decoded.text.char_indices() {
            let (from, to) = decoded.source(begin, begin + c.len_utf8()).unwrap();
            assert!(from <= to && to <= message.len() && from >= last.0 && to >= last.1);
            last = (from, to);
            // Letters and digits are no separators and are made by nothing but hexadecimal escapes.
            if c.is_ascii_alphanumeric() && to - from == 1 {
                assert_eq!(message[from], c as u8);
            }
        }
    }
);
