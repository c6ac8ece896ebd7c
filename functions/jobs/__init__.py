"""What a handler needs to know of a job: its outcomes, its context, and how it registers itself."""
