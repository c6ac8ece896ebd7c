"""Clients of the social networks: one adapter a platform, each in the steps prepare, commit, finish, poll."""
