"""The HTTP edge shared by every endpoint: one error shape, strict bodies, bearer tokens, logs, resources."""
