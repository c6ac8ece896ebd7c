"""YouTube (`youtube_video`, `youtube_shorts`)."""
