//! BERT (Devlin et al. 2018), as `transformers.BertForTokenClassification` saves it. Also what was trained as BERT under
//! other names: BioBERT, PubMedBERT, ClinicalBERT and their kin.

use super::post_norm::{BERT_KEYS, BERT_LAYER, PostNorm};
use super::{Family, Source};
use crate::architecture::Architecture;
use crate::error::ModelError;
use crate::tokenizer;

pub(super) const FAMILY: Family = Family {
    name: "bert",
    prefix: "bert.",
    describe,
    tokenizer: &tokenizer::BERT,
    class: Some("BertTokenizer"),
    idle: &[],
};

fn describe(source: &Source<'_>) -> Result<Architecture, ModelError> {
    let encoder = PostNorm::read(source, &BERT_KEYS, &BERT_LAYER, FAMILY.prefix)?;
    Ok(encoder.architecture(encoder.embeddings(encoder.hidden)?))
}
