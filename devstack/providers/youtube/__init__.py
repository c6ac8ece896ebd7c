"""The double of YouTube."""
