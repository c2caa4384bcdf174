"""One file per target, the same roles in each: list variants, compile."""
