"""The business's documents: their words, their passages, and which of these answer a question."""
