"""The HTTP edge: the server, the webhook, the probes and the pages."""
