"""Who may call a pool's models: the format of a client's key, and the list of clients that every replica gets."""
