"""The drain: claims due jobs, runs their handlers, and settles them with the database."""
