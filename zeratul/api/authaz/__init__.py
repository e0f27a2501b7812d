"""The native contract `/api/v1` (Authaz shape)."""
