"""A real server on a socket, asked over HTTP."""
