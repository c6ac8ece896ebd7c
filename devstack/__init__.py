"""The embedded Supabase: real PostgreSQL, and gateways that speak the wire protocols of the hosted one."""
