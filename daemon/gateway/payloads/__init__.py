"""Shared by the readers of all gateways: fields of foreign JSON, and one exchange as values."""
