"""Whom we believe on the internet: the certificates of the authorities, read once a process."""

import ssl
from functools import cache

import httpx


@cache
def authorities() -> ssl.SSLContext:
    """Give what checks the other side of a TLS connection; any thread may call it.

    Reading the bundle takes 50 to 100 ms, which every client would spend anew. Nobody changes the
    context, so all share it. ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` of the environment count.
    """
    return httpx.create_ssl_context()
