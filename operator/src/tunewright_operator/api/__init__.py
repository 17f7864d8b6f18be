"""The custom resources as frozen pydantic models.

The CRDs in `crds/` are the source of truth. The models have the same names, types, enums and defaults, which a test
(test_api_parity.py) checks. They ignore unknown fields and parse every object that the API server accepts.
"""
