"""HTTP contracts over the services: decode, one service call, encode."""
