"""The double of Instagram."""
