"""Condition expressions: the place of a later issue; empty today."""
