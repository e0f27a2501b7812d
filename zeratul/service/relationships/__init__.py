"""Relationships written, deleted, read, imported and exported."""
