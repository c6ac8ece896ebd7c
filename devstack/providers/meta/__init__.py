"""What the doubles of Instagram, Facebook and Threads have in common."""
