"""The double of TikTok."""
