"""Recado: the daemon behind one WhatsApp number."""

__version__ = "0.1.0"
