"""The model: one protocol, and the engines that stand behind it."""
