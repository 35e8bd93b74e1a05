"""A real PostgreSQL and a real Redis-compatible server from Python wheels, for the demo, the tests and development.

Standard library only: this runs before Django's settings are loaded.
"""
