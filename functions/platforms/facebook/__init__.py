"""Facebook's pages, through the Graph API."""
