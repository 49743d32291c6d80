"""How much may be spent, how often a thing is tried, and when to stop trying."""
