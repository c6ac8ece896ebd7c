"""The double of Facebook's pages."""
