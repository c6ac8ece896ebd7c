"""Live views: what an application shows, kept equal to the database whatever the connection does."""
