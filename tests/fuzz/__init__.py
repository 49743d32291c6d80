"""Long runs with mutated input, for ``make fuzz``; ``make test`` has a second of each."""
