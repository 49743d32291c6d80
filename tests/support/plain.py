"""Plain HTTP: with this a test's client need not read the certificates of the authorities.

That takes 50 to 100 ms a client, and no test leaves this machine.
"""

import ssl

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Believes nobody: ``httpx.AsyncClient(verify=NO_TLS)`` reaches http:// addresses only."""
