"""Supabase Storage, as far as an app needs it that uploads files and hands them on by signed addresses.

What there is stands in schema `storage` of the project's database, and its policies decide who may do what; the bytes
lie on disk. All else of Storage answers 501 with the feature's name.
"""
