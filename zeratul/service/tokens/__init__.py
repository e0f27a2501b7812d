"""Bearer tokens of trusted issuers, which narrow whom a key speaks for."""
