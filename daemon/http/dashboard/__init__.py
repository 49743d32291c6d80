"""The dashboard: pages for the people of the business and for whoever runs the daemon.

Rendered here, kept fresh by small modules of plain JavaScript; nothing comes from anywhere else.
"""
