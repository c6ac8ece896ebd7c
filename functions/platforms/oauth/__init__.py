"""Signing in at the platforms: where each sends its users, how its tokens are had, renewed and revoked."""
