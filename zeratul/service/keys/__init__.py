"""API keys: made, limited, rotated, verified."""
