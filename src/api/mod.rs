//! The JSON API under `/api/v1`: one file per noun, described by `openapi.yaml`.
