"""The operator's commands: each reads the store, or changes it, beside a running daemon.

None needs a key of the gateway or the model, except for ``webhook``.
"""
