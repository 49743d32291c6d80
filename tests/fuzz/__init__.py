"""Long runs with mutated input, for ``make fuzz``; none of it belongs to ``make test``."""
