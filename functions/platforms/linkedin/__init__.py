"""LinkedIn (`linkedin_post`, `_images`, `_video`, `_document`, `_article`)."""
