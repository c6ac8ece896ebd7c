"""`filaviva doctor`: looks at a live project, and says of each thing that is wrong what mends it."""
