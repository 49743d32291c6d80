"""How the model reads what people send."""
