"""The effect of an event on the rows of a message, a send, a turn or a chat. Pure.

`handover` has pauses and who answers a chat, `turns` the end of a turn, `changes` edits and
deletions, `sends` echoes and delivery updates. The ledger reads rows, calls these, and writes what
they return.
"""
