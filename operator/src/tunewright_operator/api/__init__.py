"""The custom resources as frozen pydantic models, and the kinds that the operator deals in."""
