"""TikTok, through its Content Posting API."""
