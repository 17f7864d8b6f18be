"""The custom resources as frozen pydantic models, proven equal to `crds/` by tests/unit/operator/test_api_parity.py.

Parsing never fails on an object that the API server accepted: the CRDs are the source of truth, these models mirror
their names, types, enums and defaults, and unknown fields are ignored.
"""
