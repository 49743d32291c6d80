"""The proxy on the way to Whapi's API, if the environment names one."""

from urllib.request import getproxies, proxy_bypass

import httpx

from daemon.errors import SettingsError

_HERE = frozenset({"localhost", "127.0.0.1", "::1"})


def proxy_for(url: httpx.URL) -> httpx.URL | None:
    """Find the proxy that the environment names for an address; none for this machine.

    By ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``, in either case of letters.
    Raises SettingsError if it is of a kind that is not known here.
    """
    if url.host in _HERE:
        return None
    known = getproxies()
    address = known.get(url.scheme) or known.get("all") or ""
    if not address or proxy_bypass(url.netloc.decode("ascii")):
        return None
    try:
        proxy = httpx.URL(address if "://" in address else f"http://{address}")
    except httpx.InvalidURL:
        proxy = httpx.URL()
    if proxy.scheme not in {"http", "https"} or not proxy.host:
        raise SettingsError(["the proxy of the environment: not an http or https address"])
    return proxy
