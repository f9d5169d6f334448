"""The Call Manager protocol with no socket, no thread and no clock in it.

Text goes in and what follows from it comes out, so that all of it can be tested, replayed
and fuzzed without a network. Read ``states`` for one call's life, ``session`` for the whole
conversation.
"""
