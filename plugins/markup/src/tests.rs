use mednerd_plugin::contract;
use proptest::prelude::*;

use super::*;

fn options(characters: Option<&str>) -> Options {
    let characters = characters.map(|name| Characters::try_from(name.to_owned()).unwrap());
    Options { characters }
}

/// What a document becomes, checked as mednerd checks it.
fn decode(format: &str, bytes: &[u8]) -> Result<Decoded, i32> {
    let decoded = options(None).decode(format, bytes, || Ok(()));
    let decoded = decoded.map_err(|error| error.code)?;
    contract::decoded(&decoded, bytes, 10_000_000).unwrap();
    if let Ok(text) = std::str::from_utf8(bytes) {
        contract::on_characters(&decoded, text).unwrap();
    }
    Ok(decoded)
}

fn text(format: &str, document: &str) -> String {
    decode(format, document.as_bytes()).unwrap().text
}

/// Where words of the text stand in the document.
fn source<'d>(format: &str, document: &'d str, words: &str) -> &'d str {
    let decoded = decode(format, document.as_bytes()).unwrap();
    let begin = decoded.text.find(words).unwrap();
    let (from, to) = decoded.source(begin, begin + words.len()).unwrap();
    document.get(from..to).unwrap()
}

#[test]
fn html_is_read_as_a_browser_shows_it() {
    for (document, expected) in [
        ("No fever<br>Hypertension", "No fever\nHypertension\n"),
        ("<p>No fever</p><p>Hypertension</p>", "No fever\nHypertension\n"),
        ("<div>one\r\n   two</div>three", "one two\nthree\n"),
        ("a<br><br>b<br/>\n<br>c", "a\n\nb\n\nc\n"),
        (
            "<h2>Family history</h2>Asthma<hr>End",
            "Family history\nAsthma\n\nEnd\n",
        ),
        ("x<h3>History</h3><p>y", "x\n\nHistory\ny\n"),
        (
            "pneu<b>mo</b>nia, pneu&shy;monia, gout<wbr>y",
            "pneumonia, pneumonia, gouty\n",
        ),
        (
            "Denies:<ul><li>fever</li>\n<li> cough<ol><li>dry</ol></ul>Ok",
            "Denies:\n- fever\n- cough\n- dry\nOk\n",
        ),
        ("<li><p>fever</p></li><li><p>cough</p>", "- fever\n- cough\n"),
        (
            "a&nbsp;&nbsp;b &amp; c&lt;d &#233;&eacute;&EACUTE &copy 5 & 6 &amp",
            "a b & c<d éé&EACUTE © 5 & 6 &\n",
        ),
        ("AT&T; R&D &nosuch; &#x1F9B4;", "AT&T; R&D &nosuch; 🦴\n"),
        ("<pre>a  b\n c &lt;\n</pre>d", "a  b\n c <\n\nd\n"),
        ("<textarea>a\nb</textarea>", "a\nb\n"),
        ("", ""),
        (
            "<html><head><title>Gout</title><style>p{}</style></head><body></body></html>",
            "",
        ),
        ("plain < 5 and > 3", "plain < 5 and > 3\n"),
        ("No fever</br>Asthma</p>Gout", "No fever\nAsthma\nGout\n"),
        ("<ul><li></li></ul><p>No fever", "No fever\n"),
        ("a\u{202a}b\u{202c} pneu\u{200e}monia", "ab pneumonia\n"),
        // As XHTML has them, in HTML too.
        (
            "<head><title/><script src='x'/><style/></head><p>fever<textarea/>",
            "fever\n",
        ),
        ("<b>Plan<p>No</b> fever</p>gout", "Plan\nNo fever\ngout\n"),
        ("<del><p>gout</del> asthma</p>", "asthma\n"),
        (
            "<div><table><tr><td>No</div> fever<td>gout</table></div>",
            "No fever\tgout\n",
        ),
        ("a<table><td>b<td>c</table>d", "a\nb\tc\nd\n"),
        (
            "<p>10<sup>9</sup>/L, 10<sup>-3</sup> g, 20 m<sup>2</sup>, gout<sup>1</sup>, Ca<sup>2+</sup> <sup>131</sup>I 1<sup>st</sup>",
            "10^9/L, 10^-3 g, 20 m2, gout^1, Ca2+ 131I 1st\n",
        ),
        ("caf\u{e9} 🦴", "café 🦴\n"),
    ] {
        assert_eq!(text("html", document), expected, "{document}");
    }
}

#[test]
fn html_rows_are_lines_and_cells_are_parted() {
    let table = "<table><tr><th>Symptom<th>Present</tr>\n<tr>\n <td><p>Fever</p></td>\n <td><div>no</div></td></tr><tr><td>Cough<td><td>yes";
    assert_eq!(text("html", table), "Symptom\tPresent\nFever\tno\nCough\tyes\n");
    let layout = "<table><tr><td><table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table></td><td>d</td></tr></table>e";
    assert_eq!(text("html", layout), "a\tb\nc\nd\ne\n");
    let items = "<table><tr><td><ul><li>a</li></ul></td><td>b</td></tr></table>";
    assert_eq!(text("html", items), "- a\tb\n");
    // Nobody shall read that there is no cough.
    let aside = "x<p>y<table><tr><td>Fever<br>Cough<td>No<br>Yes<td>z<tr><td>a<br><td>b</table>";
    assert_eq!(text("html", aside), "x\ny\nFever\nCough\nNo\nYes\nz\na\tb\n");
}

#[test]
fn what_nobody_sees_in_html_and_what_is_struck_through_is_no_text() {
    for (document, expected) in [
        (
            "a<script>if (a < b) gout</script>b<style>gout</style>c<!-- gout -->d",
            "abcd\n",
        ),
        ("a <del>gout</del> <s>gout</s><strike>gout</strike> b", "a b\n"),
        (
            "a <span style='text-decoration: Line-Through'>gout</span> b",
            "a b\n",
        ),
        (
            "a<div hidden>gout</div><p style=\"display : none\">gout<p>b",
            "a\nb\n",
        ),
        ("a<li hidden>gout<li>b", "a\n- b\n"),
        // Ends where what is around it ends, and where nothing does at the end of all.
        ("<p>a <s>gout</p>b", "a\nb\n"),
        ("<div>a<del>gout</div>b</del>c", "a\nbc\n"),
        ("a <s>gout", "a\n"),
        ("a</s></i>b", "ab\n"),
        ("a<s/>b", "ab\n"),
        (
            "a<template><p>gout</p></template>b<svg><text>gout</text></svg>c",
            "abc\n",
        ),
    ] {
        assert_eq!(text("html", document), expected, "{document}");
    }
}

#[test]
fn styles_say_where_lines_end_and_what_is_seen() {
    for (document, expected) in [
        (
            "<div style='white-space: pre-wrap'>No fever\n  Asthma<p style='white-space:normal'>a\nb</div>",
            "No fever\n  Asthma\na b\n",
        ),
        (
            "<span style='display:block'>Fever</span><span style='display: block'>Gout</span>",
            "Fever\nGout\n",
        ),
        (
            "<span style='display:inline-block'>Fever</span><span style='display:inline-block'>no</span>",
            "Fever no\n",
        ),
        (
            "<div style='display:flex'><span>Fever</span><span>no</span></div>",
            "Fever no\n",
        ),
        (
            "a<div style='display:table'><i style='display:table-row'><b style='display:table-cell'>Fever</b><b style='display:table-cell'>no</b></i></div>b",
            "a\nFever\tno\nb\n",
        ),
        (
            "<i style='position:absolute;left:1px'>Fever</i><i style='position:absolute'>Gout</i><i style='float:right'>no</i>",
            "Fever\nGout\nno\n",
        ),
        (
            "<style>.t {vertical-align:super}</style><p><i style='float:left;display:block'>1.</i>Gout 10<i class=t>9</i>/L",
            "1. Gout 10^9/L\n",
        ),
        (
            "<div style=display:inline>pneu</div><p style=display:inline>monia",
            "pneumonia\n",
        ),
        (
            "<i style='visibility:hidden'>gout<b style='visibility:visible'>a</b></i>b",
            "ab\n",
        ),
        (
            "<style>\n.no { display: none } p.w, .v {white-space:pre}</style>a <i class='x NO'>gout</i><p class=w>b\nc",
            "a\nb\nc\n",
        ),
        (
            "<style media=print>.no {display:none}</style><i class=no>a",
            "a\n",
        ),
        (
            "<style>.no {display:none}</style><i class=no style='display:inline'>a",
            "a\n",
        ),
        ("<p style='mso-display:none'>a", "a\n"),
        ("<style>#{display:none} p#{display:none}</style><p>a", "a\n"),
        (
            "<style>p{display:none}</style><p style='display:initial'>a",
            "a\n",
        ),
        ("<p style=\"font:12pt 'Segoe UI Symbol'\">a", "a\n"),
        ("<p style='font:12pt symbol'>a", "\u{3b1}\n"),
        // As Word and Outlook write signs.
        (
            "<span style='font-family:Wingdings'>&thorn;o</span> asthma <span style='font-family:Wingdings;mso-x:y'>\u{e0}</span> gout <font face='Wingdings 2'>R\u{a3}</font><font face=Symbol>\u{b3}&nbsp;\u{f061}</font>",
            "☑☐ asthma → gout ☑☐≥ α\n",
        ),
        (
            "<i style='font-family:Symbol'>\u{b7}<b style='font:7.0pt \"Times New Roman\"'>&nbsp;x</b></i>a <i style=\"font-family:'Segoe UI Symbol'\">b",
            "• xa b\n",
        ),
        ("<font face=Symbol>&nvlt;", "<⃒\n"),
        (
            "<select multiple><option selected>Fever<option selected>Cough</select>",
            "Fever Cough\n",
        ),
    ] {
        assert_eq!(text("html", document), expected, "{document}");
    }
}

#[test]
fn what_was_entered_into_a_form_is_read() {
    let form = "<p><label>Allergy</label><input value='Penicillin &amp; latex'><input type=hidden value=gout><input type=submit value=Save>!";
    assert_eq!(text("html", form), "Allergy Penicillin & latex !\n");
    assert_eq!(
        source("html", form, "Penicillin & latex"),
        "Penicillin &amp; latex"
    );
    assert_eq!(source("html", "<input value=gout type=text>", "gout"), "gout");
}

#[test]
fn what_is_no_html_is_refused() {
    for document in [
        &b"%PDF-1.7\n%\xe2\xe3"[..],
        b"PK\x03\x04\xff",
        b"\xd0\xcf\x11\xe0\xa1",
        b"MIME-Version: 1.0",
        b"\xef\xbb\xbf {\\rtf1 gout}",
    ] {
        assert_eq!(decode("html", document), Err(code::OTHER_FORMAT));
        assert_eq!(decode("cda", document), Err(code::OTHER_FORMAT));
    }
    let cda = " \u{feff}<?xml version='1.0'?><!-- a --><h:ClinicalDocument>";
    assert_eq!(decode("html", cda.as_bytes()), Err(code::OTHER_FORMAT));
}

#[test]
fn boxes_are_ticked_or_not() {
    let form =
        "<input type=checkbox checked>asthma<br><input type='CheckBox'/> gout <input type=text value=flu>";
    assert_eq!(text("html", form), "[x] asthma\n[ ] gout flu\n");
    let choice = "Side: <select><option>none<option value=l selected>left<option>right</select> knee";
    assert_eq!(text("html", choice), "Side: left knee\n");
    let field = |state: &str| {
        format!(
            "{{\\rtf1 {{\\field{{\\*\\fldinst FORMCHECKBOX {{\\*\\formfield{{\\fftype1{state}{{\\*\\ffname Check1}}}}}}}}{{\\fldrslt }}}}gout}}"
        )
    };
    for (state, sign) in [
        ("\\ffres1\\ffdefres0", "[x]"),
        ("\\ffres0\\ffdefres1", "[ ]"),
        ("\\ffres25\\ffdefres1", "[x]"),
        ("\\ffdefres0", "[ ]"),
    ] {
        assert_eq!(text("rtf", &field(state)), format!("{sign} gout"), "{state}");
    }
    assert_eq!(text("rtf", &field("").replace("fftype1", "fftype0")), "gout");
    let list = |state: &str| {
        format!(
            "{{\\rtf1 Gout: {{\\field{{\\*\\fldinst FORMDROPDOWN {{\\*\\formfield{{\\fftype2{state}\\ffhaslistbox{{\\*\\ffl yes}}{{\\*\\ffl n\\'f6}}}}}}}}{{\\fldrslt n\\'f6}}}}.}}"
        )
    };
    assert_eq!(text("rtf", &list("\\ffres1\\ffdefres0")), "Gout: nö.");
    assert_eq!(text("rtf", &list("\\ffres25\\ffdefres0")), "Gout: yes.");
    assert_eq!(text("rtf", &list("\\ffres9")), "Gout: nö.");
    assert_eq!(source("rtf", &list("\\ffres1"), "nö"), "n\\'f6");
    let both = "{\\rtf1 {\\field{\\*\\fldinst SYMBOL 179 {\\*\\formfield{\\fftype1\\ffres1}} \\\\f Symbol}}}";
    assert_eq!(text("rtf", both), "[x] ≥");
    let noted = "{\\rtf1 {\\footnote a\\*\\fldinst SYMBOL 179 \\\\f Symbol}b}";
    assert_eq!(text("rtf", noted), " [a≥]b");
    let header = "{\\rtf1 {\\header {\\field{\\*\\fldinst {\\*\\formfield{\\fftype1\\ffres1}}}}}a}";
    assert_eq!(text("rtf", header), "a");
}

#[test]
fn words_have_their_places_in_html() {
    let document = "<p>Type 2 <b>diabetes</b>\n mellitus &amp; men&eacute;trier, <i>café</i> au lait &nbspgout &copyasthma";
    for (words, stands) in [
        ("diabetes", "diabetes"),
        ("Type 2 diabetes mellitus", "Type 2 <b>diabetes</b>\n mellitus"),
        ("& menétrier", "&amp; men&eacute;trier"),
        ("café au lait", "café</i> au lait"),
        ("gout", "gout"),
        ("asthma", "asthma"),
    ] {
        assert_eq!(source("html", document, words), stands);
    }
    // Words of one line are one piece.
    let decoded = decode("html", b"<p>one two three four").unwrap();
    assert_eq!(decoded.pieces.len(), 4 + 3 + 1);
}

#[test]
fn documents_say_which_characters_they_are_of() {
    for (format, bytes, expected) in [
        ("html", &b"<meta charset=ISO-8859-1>caf\xe9"[..], Ok("café\n")),
        (
            "html",
            b"<META http-equiv='Content-Type' content='text/html; charset=windows-1250'>\xb3",
            Ok("ł\n"),
        ),
        (
            "html",
            b"<meta charset = \"latin1\">caf\xe9 &eacute;",
            Ok("café é\n"),
        ),
        (
            "html",
            b"<?xml version='1.0' encoding='ISO-8859-1'?><p>caf\xe9",
            Ok("café\n"),
        ),
        (
            "html",
            b"<meta name=generator content='charset tool'><meta charset=latin1>caf\xe9",
            Ok("café\n"),
        ),
        ("html", b"\xff\xfec\0a\0f\0\xe9\0", Ok("café\n")),
        ("html", b"\xef\xbb\xbfgout", Ok("gout\n")),
        ("html", b"caf\xe9", Err(code::CHARACTERS_UNNAMED)),
        (
            "html",
            b"<meta charset=utf-8>caf\xe9",
            Err(code::CHARACTERS_UNNAMED),
        ),
        (
            "html",
            b"<meta charset=big5>\xa4\xa4",
            Err(code::CHARACTERS_UNKNOWN),
        ),
        ("html", "<meta charset=big5>é".as_bytes(), Ok("é\n")),
    ] {
        assert_eq!(
            decode(format, bytes).map(|decoded| decoded.text),
            expected.map(str::to_owned)
        );
    }
    let cda = |head: &str, text: &[u8]| {
        [
            head.as_bytes(),
            b"<ClinicalDocument><section><text>",
            text,
            b"</text></section></ClinicalDocument>",
        ]
        .concat()
    };
    let latin = cda("<?xml version='1.0' encoding='ISO-8859-1'?>", b"caf\xe9");
    assert_eq!(decode("cda", &latin).unwrap().text, "café\n");
    assert_eq!(decode("cda", &cda("", b"caf\xe9")), Err(code::CHARACTERS_UNNAMED));
    let set = options(Some("iso-8859-15")).decode("html", b"caf\xe9 \xa4", || Ok(()));
    assert_eq!(set.unwrap().text, "café €\n");
    let decoded = decode("html", b"<meta charset=latin1>caf\xe9 gout").unwrap();
    let begin = decoded.text.find("gout").unwrap();
    assert_eq!(decoded.source(begin, begin + 4), Some((26, 30)));
}

const CDA: &str = r#"<?xml version="1.0"?>
<?xml-stylesheet type="text/xsl" href="CDA.xsl"?>
<h:ClinicalDocument xmlns:h="urn:hl7-org:v3"><h:title>Letter of Gout</h:title>
<h:component><h:structuredBody><h:component><h:section><h:code displayName="Asthma"/>
<h:title>Allergies &amp; reactions</h:title>
<h:text><h:table><h:thead><h:tr><h:th>Substance</h:th><h:th>Reaction</h:th></h:tr></h:thead>
<h:tbody><h:tr><h:td><h:content ID="a1">Penicillin</h:content></h:td><h:td>rash<h:footnote>severe</h:footnote></h:td></h:tr></h:tbody></h:table></h:text>
<h:entry><h:observation><h:text>Gout</h:text></h:observation></h:entry>
<h:component><h:section><h:title>Problems</h:title><h:text>
 <h:list><h:item>Type 2<h:br/> diabetes</h:item><h:item><h:content revised="delete">gout</h:content><h:content revised="insert">asthma</h:content></h:item></h:list>
 <h:paragraph>No fever</h:paragraph><h:paragraph><![CDATA[BP < 120]]> &#233;</h:paragraph></h:text></h:section></h:component>
</h:section></h:component></h:structuredBody></h:component></h:ClinicalDocument>
"#;

#[test]
fn the_narrative_of_cda_is_read_and_mapped_back() {
    assert_eq!(
        text("cda", CDA),
        "Allergies & reactions\nSubstance\tReaction\nPenicillin\trash\nsevere\n\nProblems\n- Type 2\ndiabetes\n- asthma\nNo fever\nBP < 120 é\n"
    );
    assert_eq!(
        source("cda", CDA, "Allergies & reactions"),
        "Allergies &amp; reactions"
    );
    assert_eq!(source("cda", CDA, "Type 2\ndiabetes"), "Type 2<h:br/> diabetes");
    assert_eq!(source("cda", CDA, "120 é"), "120]]> &#233;");
    assert_eq!(source("cda", &format!("\u{feff}{CDA}"), "fever"), "fever");
}

#[test]
fn what_systems_add_to_the_narrative_is_what_it_is_in_html() {
    let narrative =
        |body: &str| format!("<ClinicalDocument><section><text>{body}</text></section></ClinicalDocument>");
    for (body, expected) in [
        (
            "<p>No fever</p><div>Gout</div><ul><li>a</li><li/></ul><h3>History</h3>b <s>gout</s>",
            "No fever\nGout\n- a\n\nHistory\nb\n",
        ),
        ("<pre>Na\t140\n<b>K</b>\t4</pre>x", "Na\t140\nK\t4\nx\n"),
        (
            "10<sup>9</sup>/L<list><item/></list><paragraph>No fever</paragraph>",
            "10^9/L\nNo fever\n",
        ),
        ("a<table><td>b</td><td>c</td></table>", "a\nb\tc\n"),
    ] {
        assert_eq!(text("cda", &narrative(body)), expected, "{body}");
    }
}

#[test]
fn a_body_of_plain_text_is_read_and_any_other_refused() {
    let body = |text: &str| {
        format!("<ClinicalDocument><component><nonXMLBody>{text}</nonXMLBody></component></ClinicalDocument>")
    };
    for plain in [
        "<text>No fever\n  BP &lt; 120 &amp;</text>",
        "<text mediaType='text/plain' representation='TXT'><![CDATA[No fever\n  BP < 120 &]]></text>",
    ] {
        assert_eq!(text("cda", &body(plain)), "No fever\n  BP < 120 &\n", "{plain}");
    }
    for (other, code) in [
        (
            "<text mediaType='application/pdf' representation='B64'>AAAA</text>",
            code::NO_TEXT,
        ),
        (
            "<text mediaType='text/plain'><reference value='note.txt'/></text>",
            code::NO_TEXT,
        ),
        (
            "<text mediaType='text/plain' representation='B64'>bm8gZmV2ZXI=</text>",
            code::TEXT_WITHIN,
        ),
        (
            "<text mediaType='text/html'><![CDATA[<p>a]]></text>",
            code::TEXT_WITHIN,
        ),
        (
            "<text mediaType='application/rtf' representation='B64'>e1xydGYx</text>",
            code::TEXT_WITHIN,
        ),
    ] {
        assert_eq!(decode("cda", body(other).as_bytes()), Err(code), "{other}");
    }
}

#[test]
fn what_is_no_cda_is_refused() {
    for (document, code) in [
        ("<html><body>gout</body></html>", code::OTHER_FORMAT),
        ("gout", code::OTHER_FORMAT),
        ("", code::OTHER_FORMAT),
        ("<!doctype html><html><p>gout<br></html>", code::OTHER_FORMAT),
        ("MSH|^~\\&|LAB|<a|", code::OTHER_FORMAT),
        (&CDA[..CDA.len() / 2], code::MALFORMED),
        ("<ClinicalDocument><section></ClinicalDocument>", code::MALFORMED),
        ("<ClinicalDocument><section><text>a<", code::MALFORMED),
        (
            "<ClinicalDocument><component><nonXMLBody><text mediaType='application/pdf' representation='B64'>AAAA</text></nonXMLBody></component></ClinicalDocument>",
            code::NO_TEXT,
        ),
    ] {
        assert_eq!(decode("cda", document.as_bytes()), Err(code), "{document}");
    }
}

fn rtf(body: &str) -> String {
    format!(
        "{{\\rtf1\\ansi\\ansicpg1252\\deff0{{\\fonttbl{{\\f0\\fnil\\fcharset0 Arial;}}{{\\f1\\ftech\\fcharset2 Symbol;}}{{\\f2\\fnil\\fcharset2 Wingdings;}}{{\\f3\\fnil\\fcharset238{{\\*\\falt Times}}Times CE;}}{{\\f4\\fnil\\fcharset128 Mincho;}}{{\\f5\\fnil\\fcharset2 Wingdings 2;}}{{\\f6\\fnil\\fcharset2 Webdings;}}}}\r\n{{\\colortbl;\\red0\\green0\\blue0;}}{{\\stylesheet{{\\s0 Gout;}}}}{{\\*\\generator Gout 1;}}{{\\info{{\\title Gout}}}}\\viewkind4\\uc1\\pard\\f0\\fs20 {body}\\par\r\n}}"
    )
}

#[test]
fn rtf_is_read_as_a_reader_sees_it() {
    for (body, expected) in [
        ("No fever\\par Hypertension", "No fever\nHypertension"),
        ("pneu\\b mo\\b0 nia {\\i gout}y", "pneumonia gouty"),
        ("wrapped by\r\n the file", "wrapped by the file"),
        (
            "caf\\'e9 \\'80 Ren\\u233?e \\u8364\\'80 \\uc0\\u233 x",
            "café € Renée € éx",
        ),
        ("{\\uc2\\u945ab\\u946cd}e\\u947\\par f", "αβeγ\nf"),
        ("\\u-10178?\\u-8780?", "🦴"),
        ("\\u129460?\\u99999999999?a", "🦴\u{fffd}a"),
        ("a\\~b\\_c\\-d \\\\\\{\\}", "a\u{a0}b-cd \\{}"),
        ("a\\emdash b\\bullet\\tab c\\lquote d\\rquote", "a—b•\tc‘d’"),
        (
            "{\\f1 a\\'b3\\u61617?} {\\f2\\'fe}{\\f2 x} \\f3\\'b3\\f0\\'b3",
            "α≥± ☑☒ ł³",
        ),
        ("{\\f4\\'94\\'78\\'94x gout}", "肺肺 gout"),
        (
            "\\trowd\\cellx1 Fever\\cell no\\cell\\row Cough\\cell yes\\cell\\row",
            "Fever\tno\nCough\tyes\n",
        ),
        (
            "x\\par\\trowd\\pard\\intbl Fever\\par Cough\\par\\cell No\\line Yes\\cell z\\cell\\row\\intbl a\\par\\cell b\\cell\\row\\pard",
            "x\nFever\nCough\nNo\nYes\nz\na\tb\n",
        ),
        (
            "a{\\*\\unknown gout}{\\pict\\wmetafile8 0100}{\\header gout}{\\footer gout}b",
            "ab",
        ),
        (
            "a\\v gout\\v0 b{\\strike gout}{\\deleted gout}{\\striked1 gout\\striked0 c}{\\v gout\\plain d}",
            "abcd",
        ),
        ("{\\field{\\*\\fldinst HYPERLINK \"x\"}{\\fldrslt link}}", "link"),
        (
            "{\\shp{\\*\\shpinst\\shpleft1{\\sp{\\sn gout}{\\sv 1}}{\\shptxt box}}{\\shprslt box}}",
            "box",
        ),
        (
            "{\\listtext\\f1\\'b7\\tab}gout{\\footnote note}{\\*\\annotation gout}",
            "•\tgout [note]",
        ),
        ("a{\\pict\\bin5 {}}}\\}b", "ab"),
        ("\\'zzx", "zzx"),
        (
            "no fever{\\super\\chftn}{\\*\\footnote\\pard\\plain{\\super\\chftn} since May\\par} or gout{\\footnote\\par}",
            "no fever [ since May] or gout",
        ),
        (
            "a{\\shp{\\*\\shpinst{\\sp{\\sn x}}{\\shptxt box\\par}}{\\shprslt{\\*\\do{\\dptxbxtext box}}}}b",
            "a\nbox\nb",
        ),
        (
            "a{\\*\\do\\dobxpage{\\dptxbxtext\\pard box\\par}\\dpx0}b",
            "a\nbox\nb",
        ),
        ("no {\\shp{\\*\\shpinst{\\shptxt\\par}}}fever", "no fever"),
        (
            "\\trowd\\cellx1\\intbl Fever\\par\\itap2 a\\nestcell b\\nestcell{\\*\\nesttableprops\\trowd\\nestrow}{\\nonesttables\\par}c\\nestcell{\\*\\nesttableprops\\nestrow}\\cell no\\cell\\row",
            "Fever\na\tb\nc\n\tno\n",
        ),
        ("{\\upr{Szcz?cin}{\\*\\ud{Szcz\\u281?cin}}}", "Szczęcin"),
        (
            "Temp {\\field{\\*\\fldinst {SYMBOL 179 \\\\f \"Symbol\" \\\\s 10}}{\\fldrslt\\f1 x}} 38 {\\field{\\*\\fldinst SYMBOL 8805 \\\\u}{\\fldrslt}}",
            "Temp ≥ 38 ≥",
        ),
        ("\\f5 R\\'a3 \\f6 a\\f1 b", "☑☐ ✓β"),
        (
            "10{\\super 9}/L, 10\\up6 -3\\up0  g, m\\super 2\\nosupersub , gout{\\super 1}, H{\\sub 2}O",
            "10^9/L, 10^-3 g, m2, gout^1, H2O",
        ),
        (
            "pneu\\'admonia pneu\\u8203?monia\\lbr0 b{\\mvf gout}",
            "pneumonia pneumonia\nb",
        ),
        ("{\\f4 \\'94x\\'ff\\'94\\'78}", "肺\u{fffd}肺"),
        ("é café \\é {\\f1 é a}", "é café é é α"),
    ] {
        let document = rtf(body);
        assert_eq!(text("rtf", &document), format!("{expected}\n"), "{body}");
    }
    assert_eq!(
        source("rtf", &rtf("a pneu\\b mo\\b0 nia b"), "pneumonia"),
        "pneu\\b mo\\b0 nia"
    );
    assert_eq!(source("rtf", &rtf("caf\\'e9 au"), "café au"), "caf\\'e9 au");
    // A character of several bytes has a place of its own.
    let wide = rtf("\\f4 \\'94\\'78\\'89\\'8a\\'82\\'cd");
    assert_eq!(source("rtf", &wide, "炎"), "\\'89\\'8a");
    assert_eq!(
        source("rtf", &rtf("\\u-10178?\\u-8780? x"), "🦴 x"),
        "\\u-10178?\\u-8780? x"
    );
}

#[test]
fn rtf_of_other_code_pages_is_read_or_refused() {
    let of = |page: &str, body: &[u8]| [b"{\\rtf1\\ansi", page.as_bytes(), b" ", body, b"}"].concat();
    for (page, body, expected) in [
        ("\\ansicpg1250", &b"\\'b3 \xb3"[..], Ok("ł ł")),
        ("\\ansicpg65001", "é".as_bytes(), Ok("é")),
        ("\\mac", b"\\'8e", Ok("é")),
        ("\\ansicpg850", b"gout", Ok("gout")),
        ("\\ansicpg850", b"\\'82 \xb5", Ok("é Á")),
        ("\\ansicpg852", b"\\'88", Ok("ł")),
        ("\\pc", b"Gr\x94\\'e1e", Ok("Größe")),
        ("\\pca", b"\x9b", Ok("ø")),
        ("\\ansicpg932", b"\x94\x78 \x89\x8a", Ok("肺 炎")),
        ("\\ansicpg936", b"\\'b7\\'ce \xd1\xd7", Ok("肺 炎")),
        ("\\ansicpg65001", b"\\'e8\\'82\\'ba", Ok("肺")),
        ("\\ansicpg864", b"gout", Ok("gout")),
        ("\\ansicpg864", b"\\'82", Err(code::CHARACTERS_UNKNOWN)),
        ("\\ansicpg864", b"\x82", Err(code::CHARACTERS_UNKNOWN)),
        ("", b"caf\xe9", Ok("café")),
    ] {
        let decoded = decode("rtf", &of(page, body)).map(|decoded| decoded.text);
        assert_eq!(decoded, expected.map(str::to_owned), "{page}");
    }
}

#[test]
fn what_is_no_rtf_is_refused() {
    for (document, code) in [
        ("gout", code::OTHER_FORMAT),
        ("", code::OTHER_FORMAT),
        ("{\\html gout}", code::OTHER_FORMAT),
        ("{\\rtf1 gout", code::MALFORMED),
        ("{\\rtf1 gout\\", code::MALFORMED),
        ("{\\rtf1 \\bin99999999999 gout}", code::MALFORMED),
        (&format!("{{\\rtf1{}", "{".repeat(20_000)), code::MALFORMED),
    ] {
        assert_eq!(decode("rtf", document.as_bytes()), Err(code), "{document:.40}");
    }
    assert_eq!(text("rtf", " \r\n{\\rtf1 gout}}trailing"), "gout");
}

#[test]
fn calls_that_are_over_end() {
    for (format, document) in [("html", "a<br>b"), ("cda", CDA), ("rtf", "{\\rtf1 a}")] {
        let result = options(None).decode(format, document.as_bytes(), || Err(Error::cancelled()));
        assert_eq!(result, Err(Error::cancelled()), "{format}");
    }
}

/// Processor time of this thread.
fn time(format: &str, document: &str) -> std::time::Duration {
    let clock = || {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        let nanoseconds = text.split(' ').next().unwrap().parse().unwrap();
        std::time::Duration::from_nanos(nanoseconds)
    };
    let times = (0..3).map(|_| {
        let begun = clock();
        let _ = decode(format, document.as_bytes());
        clock() - begun
    });
    times.min().unwrap()
}

#[test]
fn time_is_linear_in_the_length_of_a_document() {
    for (format, shape) in [
        ("html", "<a>"),
        ("html", "<b></i>"),
        ("html", "</p>"),
        ("html", "<p><s>"),
        ("html", "<li>"),
        ("html", "<x a=1 b=2 c>"),
        ("html", "<td><tr>"),
        ("html", "&"),
        ("html", "&amp"),
        ("html", "&aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        ("html", "<"),
        ("html", "<!--"),
        ("html", " \u{ad}"),
        ("html", "<a style='"),
        ("html", "<b><p></b>"),
        ("html", "<b><div>"),
        ("html", "<td></p>"),
        ("html", "<input value=a>"),
        ("html", "<i class='a b c d'>"),
        ("html", "<style>.a{display:none}</style>"),
        ("html", "<style>@a{"),
        ("html", "<sup>1"),
        ("rtf", "{\\f1"),
        ("rtf", "\\'94"),
        ("rtf", "\\u55360"),
        ("rtf", "\\uc99999 \\u1 abc"),
        ("rtf", "{}"),
        ("rtf", "{\\fonttbl\\f1 a"),
        ("rtf", "{\\footnote\\par "),
        ("rtf", "\\par{\\footnote}"),
        ("rtf", "{\\*\\fldinst SYMBOL 9 "),
        ("rtf", "{\\*\\fldinst{\\*\\formfield\\fftype2{\\*\\ffl a}"),
        ("rtf", "\\f4\\'94\\u1"),
        ("rtf", "\\super 9\\sub "),
        ("cda", "<a>"),
        ("cda", "<section><text>"),
        ("cda", "<!--"),
        ("cda", "&amp;"),
    ] {
        let long = |length: usize| {
            let body = shape.repeat(length / shape.len());
            match format {
                "rtf" => rtf(&body),
                "cda" => format!("<ClinicalDocument><section><text>{body}"),
                _ => body,
            }
        };
        let (short, long) = (time(format, &long(25_000)), time(format, &long(400_000)));
        // Sixteen times as long; 256 times where each piece looks at all others.
        let floor = std::time::Duration::from_millis(2);
        assert!(
            long < short.max(floor) * 64,
            "{format} {shape:?}: {short:?}, {long:?}"
        );
    }
}

proptest! {
    #[test]
    fn any_document_is_read_or_refused(pieces in prop::collection::vec(prop_oneof![
        "[ a-zé🦴&;#<>{}\\\\'\"/=\\r\\n\\x00-]{0,12}",
        prop::sample::select(vec![
            "<p>", "</p>", "<td>", "<tr>", "<s>", "</s>", "<li>", "<br>", "<pre>", "</pre>", "<script>", "</script>", "<!--", "-->",
            "<input type=checkbox checked>", "&nbsp;", "&shy;", "&amp", "&#x1F9B4;", "<textarea>", "<plaintext>", "<![CDATA[", "]]>",
            "<section>", "<text>", "</text>", "<title>", "<content revised='delete'>", "</content>", "\\par ", "\\'e9", "\\u233?", "\\uc2",
            "\\u-10178", "{\\f1 ", "{\\f4 ", "\\'94", "\\v ", "\\bin3 ", "{\\*\\formfield", "\\fftype1", "{\\*\\fldinst", "{\\fonttbl", "\\fcharset2", "}",
            "{\\footnote ", "{\\shptxt ", "{\\upr ", "{\\*\\ud ", "SYMBOL 179 ", "{\\*\\ffl ", "\\fftype2", "{\\fldrslt ", "\\super ", "\\cell ", "\\row ",
            "<sup>", "<style>.a{display:none}</style>", "<b class=a>", "</b>", "<input value='a&amp;b'>", "</div>", "<div style='white-space:pre'>", "<font face=Symbol>", "&nvlt;", "&nbspa",
        ]).prop_map(str::to_owned),
    ], 0..40)) {
        let body = pieces.concat();
        for (format, document) in [
            ("html", body.clone()),
            ("rtf", rtf(&body)),
            ("cda", format!("<ClinicalDocument><section><text>{body}</text></section></ClinicalDocument>")),
        ] {
            // Checks the map.
            let _ = decode(format, document.as_bytes());
            let _ = decode(format, &document.bytes().map(|byte| byte.rotate_left(1)).collect::<Vec<_>>());
        }
    }

    /// What html5gum takes for text, apart from white space, is what is read.
    #[test]
    fn the_text_of_html_is_that_of_its_tokens(pieces in prop::collection::vec(prop::sample::select(vec![
        "a", "é", " ", "\n", "&amp;", "&lt", "&nbsp;", "&notit;", "&#65;", "&", "<b>", "</b>", "<x y='>'>", "<!-- c -->", "<!doctype html>", "< ", "1<2",
        "</i>", "<br/>", "<b a=\"&amp;\">", "<!x>", "<?y?>", "</>", "</ z>",
    ]), 0..30)) {
        let document = pieces.concat();
        let mut expected = String::new();
        for token in html5gum::Tokenizer::new(&document) {
            let Ok(token) = token;
            if let html5gum::Token::String(text) = token {
                expected.push_str(std::str::from_utf8(&text).unwrap());
            }
        }
        let visible = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        // An end tag without a name is no token, and stays as it is.
        prop_assert_eq!(visible(&text("html", &document).replace("</>", "")), visible(&expected));
    }
}
