"""What Instagram, Facebook and Threads have in common: the Graph API, its errors, and containers."""
