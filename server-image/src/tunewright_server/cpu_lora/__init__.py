"""LoRA for vLLM's CPU build: one matrix product for all rows of a batch that use the same adapter (docs/adr/0009)."""
