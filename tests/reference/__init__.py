"""The slow, obvious model that the engine is compared with."""
