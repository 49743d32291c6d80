"""Gateways to WhatsApp: the port, and one folder for each gateway."""
