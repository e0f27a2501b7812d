"""Applications, their settings, and what was done in them."""
