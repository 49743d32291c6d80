"""Meta's Cloud API, the official gateway to WhatsApp for businesses.

``kind`` registers it, ``client`` makes its calls. What is sent and received is in ``payloads``:
``webhooks`` reads webhooks, ``contents`` the content of a message, ``news`` news of our number,
``answers`` the replies of the API, ``failures`` its error codes, ``sends`` writes messages.
"""
