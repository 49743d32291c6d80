"""The REST API, ``/api/v1``: routes with a role each, and their description as OpenAPI 3.1."""
