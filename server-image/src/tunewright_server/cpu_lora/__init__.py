"""LoRA on vLLM's CPU build, computed once for each adapter in a batch (docs/adr/0009)."""
