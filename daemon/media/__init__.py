"""Files that people send: downloading, recognising, storing and reading them."""
