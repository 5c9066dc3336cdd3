"""How `biomed-small` was made: a BiLSTM-CRF teacher labels running text, a small BERT learns from it (see README.md)."""
