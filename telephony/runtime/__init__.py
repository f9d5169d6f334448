"""Threads and sockets, one concern a file. Nothing here knows a call, a handler or a client."""
