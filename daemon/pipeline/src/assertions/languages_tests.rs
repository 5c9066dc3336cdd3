//! What is said in languages other than English.

use super::tests::assert_said;

#[test]
fn short_notes_that_say_no_are_read() {
    assert_said(&[
        "No {fiebre|N}, no {tos|N}, no {disnea|N}.",
        "{Fiebre|N}: no\n{Tos|N}: no\n{Disnea|N}: no",
        "{Fièvre|N} : non\n{Toux|} : oui\n{Dyspnée|N} : non",
        "{Febbre|N}: no\n{Tosse|N}: no\n{Vomito|N}: no",
        "No {fever|N}, no {cough|N}. No {SOB|N}.",
    ]);
}
