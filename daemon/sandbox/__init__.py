"""The two simulators: a Whapi gateway with a phone, and a model server.

Both are real HTTP servers on loopback. `recado sandbox` runs the daemon against them, and the tests
do too: what they recorded shows what a customer saw. They know nothing of the daemon but
its wire formats.
"""
