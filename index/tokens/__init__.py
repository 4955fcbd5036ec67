"""Texts only, no vector: the vocabulary, how tokens are displayed and written, the tokenizer."""
