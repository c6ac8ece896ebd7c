"""The double of X."""
