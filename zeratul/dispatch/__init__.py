"""Drives the expander against a snapshot; keeps memos; holds budgets."""
