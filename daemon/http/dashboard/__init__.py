"""The dashboard: pages for the people of the business and for operators.

Rendered here and updated by small modules of plain JavaScript; nothing is loaded from other hosts.
"""
