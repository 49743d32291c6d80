"""How a model's text becomes WhatsApp messages."""
