"""Instagram, through its Graph API."""
