"""Telling the people of the business what wants them, outside of WhatsApp."""
