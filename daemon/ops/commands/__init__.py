"""The operator's commands: each looks at the store, or changes it, beside a running daemon.

One module a command, loaded when it is asked for. None needs a key of the gateway or the model.
"""
