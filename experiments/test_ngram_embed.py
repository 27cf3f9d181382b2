"""Embeddings of the last two, three and four bytes, hashed into tables, beside that of the byte."""

from pytest_exprun import experiment


@experiment("--ngram_embed=4")
def test_ngram_embed():
    """Prediction: WINNER, the largest of all. Counts of n-grams need not be rediscovered by attention."""
