"""Sign-up, sessions and users: the part of Supabase Auth (GoTrue) that an app with e-mail and password needs.

All state lives in schema `auth` of the project's database, so users made by SQL and users made here are the same.
"""
