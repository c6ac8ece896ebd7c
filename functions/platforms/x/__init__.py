"""X (`x_post`)."""
