"""Texts only, no vector: the vocabulary, its display, the tokenizer."""
