"""Reads server and trainer pods at intervals, beside the reconciliations, and wakes those that a change concerns."""
