"""The double of Threads."""
