"""How what the model wrote becomes messages of WhatsApp."""
