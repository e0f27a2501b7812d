"""Schema compilers: OpenFGA's JSON model in, `domain.schema.Schema` out."""
