"""The model server: one port, and the engines that implement it."""
