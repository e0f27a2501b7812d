"""Values: relationships, rewrites, schemas, revisions, zookies, limits. No I/O, no clock."""
