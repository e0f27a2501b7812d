"""Policies, roles, and who has which role where."""
