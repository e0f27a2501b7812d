"""The expander: sans-I/O generators that decide membership and list it.

No store, no clock, no asyncio, no logging. See ``requests`` for the form of an evaluation and
``plan`` for what it walks.
"""
