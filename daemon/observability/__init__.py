"""The log, the metrics and the traces. None of them holds personal data."""
