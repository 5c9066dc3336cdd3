//! HTML, CDA and RTF documents and the maps of their texts: they keep the contract, and what was copied stands in the document as it is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mednerd_fuzz::{Input, seeds};
use mednerd_plugin::contract;

const HTML: &str = "<title>x</title><p>No fever<br>type 2 <b>dia</b>betes &amp; <s>gout</s><table><tr><td>a<td>b</table><ul><li>c<input type=checkbox checked>d<pre>e  f</pre>\
    <style>.g, p.h {display:none}</style><i class=g>g</i><p style='white-space:pre;float:left'>10<sup>9</sup></br><input value='h &amp; i'><b><div>j</b></div>";
const CDA: &str = "<?xml version='1.0' encoding='latin1'?><ClinicalDocument><section><title>a &amp; b</title><text><list><item>c<br/>d</item></list>\
    <table><tr><td>e</td><td revised='delete'>f</td></tr></table><![CDATA[g]]></text></section></ClinicalDocument>";
const RTF: &str = "{\\rtf1\\ansi\\ansicpg1250{\\fonttbl{\\f0 Arial;}{\\f1\\fcharset2 Symbol;}{\\f2\\fcharset128 Mincho;}}\\f0 a\\'e9 \\u-10178?\\u-8780?\\par{\\f1 b}\\cell{\\f2\\'94\\'78}\\row\\v x\\v0 \\bin2 {}\\uc2\\u945ab\
    {\\footnote c\\par}{\\*\\shpinst{\\shptxt d\\par}}{\\upr{e}{\\*\\ud{\\u281?}}}{\\field{\\*\\fldinst SYMBOL 179 \\\\f Symbol{\\*\\formfield{\\fftype2\\ffres1{\\*\\ffl f}{\\*\\ffl g}}}}{\\fldrslt h}}10\\super 9}";

fuzz_target!(
    init: seeds([HTML, CDA, RTF].into_iter().enumerate().map(|(format, seed)| [&[format as u8, 0], seed.as_bytes()].concat())),
    |bytes: &[u8]| {
        let mut input = Input(bytes);
        let format = ["html", "cda", "rtf"][input.below(3)];
        let document = input.0;
        let Ok(decoded) = mednerd_markup_plugin::decode(format, document) else {
            return;
        };
        contract::decoded(&decoded, document, 4 * document.len() + 100).unwrap();
        if let Ok(text) = std::str::from_utf8(document) {
            contract::on_characters(&decoded, text).unwrap();
        }
        let mut last = (0, 0);
        for (begin, c) in decoded.text.char_indices() {
            let (from, to) = decoded.source(begin, begin + c.len_utf8()).unwrap();
            assert!(from <= to && to <= document.len() && from >= last.0 && to >= last.1);
            last = (from, to);
        }
    }
);
