"""The connection engine below every live view: one socket a client, and the channels that views share on it.

The messages are those of the official package `realtime`; who opens the socket, reads it and joins is our own. The
official client reconnects five times and then never again, does not look at the answers to its heartbeats, ends the
socket on a frame above 1 MiB, and stops reading when a callback raises; none of that can be changed from outside.
"""
