"""Plain HTTP: a test's client does not load the CA certificates.

Loading takes 50 to 100 ms per client, and no test leaves this machine.
"""

import ssl

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts no certificate: ``httpx.AsyncClient(verify=NO_TLS)`` reaches only http:// addresses."""
