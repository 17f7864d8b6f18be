"""Authentic documents in a bucket: their key, and the form of a document that its code covers."""
