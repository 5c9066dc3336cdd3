//! The stage after the models: what a plugin's own model found, post-processed by the plugin.

use std::sync::Arc;
use std::time::Instant;

use mednerd_plugin::Span;
use tokio::task::JoinSet;

use super::link::RESERVE;
use crate::page::{Found, Page};

/// Has each plugin refine what its model found, all at once. Where one fails, what its model found stands, and the
/// plugin is among the stages that did not run, which come second.
pub async fn refine(page: &Page, mut found: Vec<Found>, deadline: Instant) -> (Vec<Found>, Vec<String>) {
    let deadline = deadline.checked_sub(RESERVE).unwrap_or(deadline);
    let mut asking = JoinSet::new();
    for (index, (model, spans)) in found.iter().enumerate() {
        let Some(plugin) = page.refiner(*model).cloned() else {
            continue;
        };
        let text = Arc::clone(&page.text);
        let spans = spans.iter().map(|span| Span {
            begin: span.begin,
            end: span.end,
            label: span.label.to_string(),
            score: span.score,
        });
        let spans = spans.collect();
        asking.spawn(async move {
            let refined = plugin.refine(text, spans, deadline).await;
            (index, plugin, refined)
        });
    }
    let mut degraded = Vec::new();
    while let Some(answer) = asking.join_next().await {
        // Only a panic ends a task without its answer.
        let Ok((index, plugin, refined)) = answer else {
            degraded.push("adapter".to_owned());
            continue;
        };
        match (refined, found.get_mut(index)) {
            (Ok(refined), Some((_, spans))) => {
                let refined = refined.into_iter().map(|span| mednerd_pipeline::Span {
                    begin: span.begin,
                    end: span.end,
                    label: span.label.into(),
                    score: span.score,
                });
                *spans = refined.collect();
            }
            (Err(error), _) => {
                tracing::warn!(
                    plugin = plugin.id(),
                    "what its model found was not refined: {error}"
                );
                degraded.push(format!("adapter:{}", plugin.id()));
            }
            (Ok(_), None) => {}
        }
    }
    degraded.sort();
    (found, degraded)
}
