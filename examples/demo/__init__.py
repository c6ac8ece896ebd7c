"""`make demo`: one publication from HTTP to live status, before your eyes."""
