//! Which class of `transformers` reads a tokenizer's files, as `AutoTokenizer` of version 5 chooses it, and what that
//! class does to `tokenizer.json` or takes vocabulary files for.

use tokenizers::{NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, Tokenizer};

use super::{TokenizerFiles, byte_level_bpe, fault, wordpiece};
use crate::error::ModelError;
use crate::families::Family;
use crate::json::Object;

const KEY: &str = "tokenizer_class";

/// The class that takes `tokenizer.json` as it is, and no other file.
pub(crate) const AS_IT_IS: &str = "TokenizersBackend";

/// Names under which that class is known.
const PLAIN: [&str; 3] = [AS_IT_IS, "PreTrainedTokenizer", "PythonBackend"];

/// Read `vocab.txt` as BERT's tokenizer does.
const WORDPIECE: [&str; 10] = [
    "BertTokenizer",
    "ConvBertTokenizer",
    "DPRContextEncoderTokenizer",
    "DPRQuestionEncoderTokenizer",
    "DistilBertTokenizer",
    "ElectraTokenizer",
    "LayoutLMTokenizer",
    "LxmertTokenizer",
    "MobileBertTokenizer",
    "SqueezeBertTokenizer",
];

/// Read `vocab.json` and `merges.txt` as RoBERTa's tokenizer does.
const BYTE_LEVEL_BPE: [&str; 4] = [
    "RobertaTokenizer",
    "BartTokenizer",
    "LEDTokenizer",
    "LongformerTokenizer",
];

/// Put a BERT normaliser of their own in the place of that of `tokenizer.json`.
const OWN_NORMALISER: [&str; 12] = [
    "BertTokenizer",
    "DPRContextEncoderTokenizer",
    "DPRQuestionEncoderTokenizer",
    "DistilBertTokenizer",
    "ElectraTokenizer",
    "FunnelTokenizer",
    "LayoutLMTokenizer",
    "LxmertTokenizer",
    "MPNetTokenizer",
    "MobileBertTokenizer",
    "SplinterTokenizer",
    "SqueezeBertTokenizer",
];

/// Decide themselves about the space before a text.
const OWN_SPACE: [&str; 6] = [
    "RobertaTokenizer",
    "BartTokenizer",
    "DebertaTokenizer",
    "GPT2Tokenizer",
    "LEDTokenizer",
    "LongformerTokenizer",
];

/// Split texts in Python, by rules or programs of their own, and never read `tokenizer.json`.
const IN_PYTHON: [&str; 15] = [
    "BartphoTokenizer",
    "BertGenerationTokenizer",
    "BertJapaneseTokenizer",
    "BertTokenizerLegacy",
    "BertweetTokenizer",
    "BioGptTokenizer",
    "CanineTokenizer",
    "EsmTokenizer",
    "FlaubertTokenizer",
    "MarianTokenizer",
    "PhobertTokenizer",
    "ProphetNetTokenizer",
    "RoCBertTokenizer",
    "TapasTokenizer",
    "XLMTokenizer",
];

/// Keys of tokenizers that split words otherwise than BERT's, whose vocabulary file has the name of BERT's.
const OTHER_SPLITS: [&str; 2] = ["word_tokenizer_type", "subword_tokenizer_type"];

/// How a family's vocabulary files become a tokenizer.
#[derive(Debug)]
pub(crate) struct Builder {
    /// Builds it.
    pub(crate) build: fn(&TokenizerFiles) -> Result<Tokenizer, ModelError>,
    /// The classes that build the same.
    classes: &'static [&'static str],
}

/// BERT and what shares its tokenizer.
pub(crate) static BERT: Builder = Builder {
    build: wordpiece::bert_wordpiece,
    classes: &WORDPIECE,
};

/// RoBERTa and Longformer.
pub(crate) static ROBERTA: Builder = Builder {
    build: byte_level_bpe::byte_level_bpe,
    classes: &BYTE_LEVEL_BPE,
};

/// XLM-RoBERTa.
pub(crate) static XLM_ROBERTA: Builder = Builder {
    build: super::unigram::xlm_roberta_unigram,
    classes: &["XLMRobertaTokenizer"],
};

/// CamemBERT.
pub(crate) static CAMEMBERT: Builder = Builder {
    build: super::unigram::camembert_unigram,
    classes: &["CamembertTokenizer"],
};

/// DeBERTa-v2 and -v3.
pub(crate) static DEBERTA: Builder = Builder {
    build: super::unigram::deberta_unigram,
    classes: &["DebertaV2Tokenizer"],
};

/// Families that have no vocabulary files: their checkpoints come with `tokenizer.json`.
pub(crate) static ONLY_JSON: Builder = Builder {
    build: |files| Err(files.missing("tokenizer.json")),
    classes: &[],
};

/// A class and where it is named.
struct Class<'a> {
    /// Without "Fast", which says nothing since version 5.
    name: &'a str,
    /// `None` where nothing names one, so that it is the family's.
    from: Option<&'a Object>,
}

impl Class<'_> {
    fn wrong(&self, files: &TokenizerFiles, expected: &str) -> ModelError {
        let from = self.from.unwrap_or(&files.config);
        from.wrong(KEY, expected, from.get(KEY).unwrap_or(&self.name.into()))
    }
}

impl TokenizerFiles {
    /// The class that reads these files. `config` is the `config.json` beside them, where there is one.
    fn class<'a>(&'a self, family: &Family, config: Option<&'a Object>) -> Result<Class<'a>, ModelError> {
        let of_family = match config.map(|config| config.string("model_type")).transpose()? {
            Some(Some(found)) if found == family.name => Some(family.class),
            _ => None,
        };
        let mut named = None;
        for object in std::iter::once(&self.config).chain(config) {
            if named.is_none() {
                let name = object.string(KEY)?.filter(|name| !name.is_empty());
                named = name.map(|name| Class {
                    name: name.strip_suffix("Fast").unwrap_or(name),
                    from: Some(object),
                });
            }
        }
        Ok(match (of_family, named) {
            // What their checkpoints name is known to be wrong.
            (Some(Some(AS_IT_IS)), _) => Class {
                name: AS_IT_IS,
                from: None,
            },
            (_, Some(class)) => class,
            (of_family, None) => Class {
                name: of_family.flatten().unwrap_or(AS_IT_IS),
                from: None,
            },
        })
    }

    /// Does to a tokenizer from `tokenizer.json` what the class does, whatever that file says: the classes for BERT
    /// build their normaliser from `tokenizer_config.json`, those for RoBERTa put a space before the text and trim spans
    /// as it says there. An absent key counts as the class's default. DeBERTa's and XLM-RoBERTa's classes build a
    /// normaliser too, but version 5 another one than version 4, which wrote it to `tokenizer.json`: there, the file
    /// stands.
    pub(super) fn override_by_class(
        &self,
        family: &Family,
        config: Option<&Object>,
        tokenizer: &mut Tokenizer,
    ) -> Result<(), ModelError> {
        let class = self.class(family, config)?;
        if IN_PYTHON.contains(&class.name) {
            let expected = "a class that reads tokenizer.json; this one splits texts in Python, where mednerd cannot follow. Use a \
                            checkpoint with another tokenizer";
            return Err(class.wrong(self, expected));
        }
        if OWN_NORMALISER.contains(&class.name)
            && let Some(NormalizerWrapper::BertNormalizer(_)) = tokenizer.get_normalizer()
        {
            tokenizer
                .with_normalizer(Some(wordpiece::normalizer(&self.config)?))
                .map_err(|e| fault(&self.source(), &e))?;
        }
        if OWN_SPACE.contains(&class.name)
            && let Some(PreTokenizerWrapper::ByteLevel(_)) = tokenizer.get_pre_tokenizer()
        {
            byte_level_bpe::begin(&self.config, tokenizer)?;
            if let Some(PostProcessorWrapper::Roberta(found)) = tokenizer.get_post_processor() {
                let ends = (found.get_sep_copy(), found.get_cls_copy());
                byte_level_bpe::surround(&self.config, tokenizer, ends)?;
            }
        }
        Ok(())
    }

    /// Builds the tokenizer from the vocabulary files, unless their class makes another of them than the family's.
    pub(super) fn build(&self, family: &Family, config: Option<&Object>) -> Result<Tokenizer, ModelError> {
        let builder = family.tokenizer;
        let class = self.class(family, config)?;
        if class.from.is_none() {
            for object in std::iter::once(&self.config).chain(config) {
                for key in OTHER_SPLITS {
                    if let Some(found) = object.get(key) {
                        let expected = "absent, or a tokenizer_class that does not read it: mednerd does not split words so";
                        return Err(object.wrong(key, expected, found));
                    }
                }
            }
        } else if PLAIN.contains(&class.name) {
            // Vocabulary files alone do not say how such a tokenizer reads.
            return Err(self.missing("tokenizer.json"));
        } else if !builder.classes.is_empty() && !builder.classes.contains(&class.name) {
            let expected = format!(
                "{} where there is no tokenizer.json; from the vocabulary files mednerd builds no other tokenizer for this \
                 family. Copy tokenizer.json from the original checkpoint, if it has one",
                builder.classes.join(", ")
            );
            return Err(class.wrong(self, &expected));
        }
        (builder.build)(self)
    }
}
