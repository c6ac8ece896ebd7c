"""The double of LinkedIn."""
