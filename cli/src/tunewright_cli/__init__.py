"""``kubectl tunewright``: a kubectl plugin that creates, rotates and revokes the keys of clients.

A key is created on the machine of the user; only its hash is sent to the cluster.
"""
