"""What the readers of all gateways share: fields of foreign JSON, and one exchange as values."""
