"""Values: relationships, rewrites, schemas, zookies, limits. No I/O, no clock."""
