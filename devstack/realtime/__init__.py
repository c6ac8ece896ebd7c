"""Supabase Realtime for development: websocket channels, and row changes read from the write-ahead log.

The road of one change: `wal` receives it, `pgoutput` decodes it, `delivery` asks `filters` and `authorize` who may
see it, `values` turns it into JSON, and the `channel` of each subscriber sends it through its `socket`.
"""
