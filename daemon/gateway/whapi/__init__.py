"""Whapi.Cloud, a gateway to WhatsApp that is a device linked to the phone.

``kind`` registers it, ``client`` makes its calls through ``exchange`` and ``connections``. What is
sent and received is in ``payloads``: ``parser`` reads webhooks, ``answers`` the replies of the API,
``sends`` writes messages.
"""
