//! An evaluation for people: tables as text, the reliability diagram as SVG.

use std::fmt::Write as _;

use super::{AUTO_ACCEPT, Evaluation};

/// The figures as a table.
pub fn table(evaluation: &Evaluation) -> String {
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let mut out = String::new();
    let rows = [
        ("mentions", evaluation.mentions.to_string()),
        (
            "covered",
            format!("{} ({})", evaluation.covered, percent(evaluation.coverage)),
        ),
        ("accuracy at 1", percent(evaluation.accuracy_at_1)),
        ("recall at 10", percent(evaluation.recall_at_10)),
        ("recall at 50", percent(evaluation.recall_at_50)),
        (
            "accuracy at 1, of all mentions",
            percent(evaluation.accuracy_at_1_of_all),
        ),
        (
            "accuracy at 1, all of several ids",
            percent(evaluation.strict_accuracy_at_1),
        ),
        ("without a candidate", evaluation.nil.to_string()),
        (
            "auto-accepted",
            format!(
                "{} of the mentions, {} right (confidence at least {AUTO_ACCEPT})",
                percent(evaluation.auto_accept.share),
                percent(evaluation.auto_accept.precision)
            ),
        ),
        (
            "expected calibration error",
            format!("{:.3}", evaluation.expected_calibration_error),
        ),
        (
            "microseconds per mention",
            format!("{:.0}", evaluation.microseconds_per_mention),
        ),
    ];
    for (name, value) in rows {
        let _ = writeln!(out, "{name:<34}{value}");
    }
    let _ = writeln!(
        out,
        "\n{:<24}{:>9}{:>8}{:>11}{:>12}",
        "stage", "mentions", "right", "precision", "confidence"
    );
    for stage in &evaluation.stages {
        let _ = writeln!(
            out,
            "{:<24}{:>9}{:>8}{:>11}{:>12.2}",
            stage.stage,
            stage.mentions,
            stage.right,
            percent(stage.precision),
            stage.confidence
        );
    }
    out
}

/// Confidence against precision, as an SVG picture: a bar for each bin, the diagonal is perfect.
pub fn reliability_svg(evaluation: &Evaluation) -> String {
    let (size, left, top) = (320.0, 50.0, 20.0);
    let mut svg = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 400 390\" font-family=\"sans-serif\" \
         font-size=\"11\">\n<title>Reliability: precision by confidence</title>\n",
    );
    for bin in evaluation.reliability.iter().filter(|bin| bin.mentions > 0) {
        let height = bin.precision * size;
        let _ = writeln!(
            svg,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\" fill=\"#4878a8\"><title>{} mentions, \
             confidence {:.3}, precision {:.3}</title></rect>\n<text x=\"{:.1}\" y=\"{:.1}\" \
             text-anchor=\"middle\">{}</text>",
            left + bin.from * size + 1.0,
            top + size - height,
            size / 10.0 - 2.0,
            bin.mentions,
            bin.confidence,
            bin.precision,
            left + (bin.from + 0.05) * size,
            (top + size - height - 3.0).max(top - 3.0),
            bin.mentions
        );
    }
    let _ = writeln!(
        svg,
        "<path d=\"M{left} {top}v{size}h{size}\" fill=\"none\" stroke=\"#000\"/>\n<path d=\"M{left} {}l{size} -{size}\" \
         stroke=\"#a00\" stroke-dasharray=\"4\"/>",
        top + size
    );
    for tick in 0..=5 {
        let value = f64::from(tick) / 5.0;
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{value:.1}</text>\n<text x=\"{:.1}\" y=\"{:.1}\" \
             text-anchor=\"end\">{value:.1}</text>",
            left + value * size,
            top + size + 15.0,
            left - 5.0,
            top + size - value * size + 4.0
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">confidence</text>\n<text x=\"14\" y=\"{:.1}\" \
         text-anchor=\"middle\" transform=\"rotate(-90 14 {:.1})\">precision</text>\n</svg>",
        left + size / 2.0,
        top + size + 35.0,
        top + size / 2.0,
        top + size / 2.0
    );
    svg
}
