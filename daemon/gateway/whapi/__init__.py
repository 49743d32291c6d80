"""Whapi.Cloud, the gateway to WhatsApp: what it tells us, and how we call it.

``wire`` reads webhooks and ``answers`` the replies of the API; both stand on ``contents``,
``shapes`` and ``fields``, and all five are pure. ``client`` does
the I/O, through ``exchange``.
"""
