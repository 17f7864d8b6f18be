"""What one request may ask of vLLM: the middleware refuses more, and vLLM is started with the same limits."""

from __future__ import annotations

MAX_N = 16
"""Answers to one prompt."""
MAX_PROMPTS = 32
MAX_CHOICES = 64
"""Answers of one request: `n` for each prompt. vLLM computes a few hundred sequences at a time, for all clients."""
MAX_LOGPROBS = 20
"""Log probabilities of a token; each is found, sent and written as text for every token of an answer."""
MAX_STOP_STRINGS = 4
MAX_STOP_CHARACTERS = 1024
MAX_STOP_TOKENS = 64
MAX_LOGIT_BIASES = 300
MAX_MESSAGES = 4096
MAX_TOOLS = 128
MAX_NESTING = 64
"""Objects and lists inside each other, in a tool's parameters and in the arguments of its calls."""

MAX_SCHEMA_BYTES = 16 * 1024
MAX_TOOL_SCHEMA_BYTES = 64 * 1024
"""The schemas of all tools of a request together, if they constrain the answer."""
MAX_SCHEMA_NESTING = 32
MAX_COUNT = 1000
"""The largest count in a schema, such as `maxItems` and `maxLength`."""
MAX_PATTERN_CHARACTERS = 512
MAX_PATTERN_SIZE = 2000
"""The characters of a pattern in which each counted repetition is written out."""
MAX_PATTERN_NESTING = 16
MAX_GRAMMAR_CHARACTERS = 8 * 1024
MAX_OPTIONS = 256
"""The texts of which the answer must be one."""

BODY_SECONDS = 10.0
"""From the end of a request's headers until the end of its body."""
IDLE_SECONDS = 10.0
"""How long a connection may be open without a complete request; vLLM closes an idle one after 5 s."""
MAX_UPLOADS = 128
"""Bodies that arrive at the same time in one pod."""
MAX_CONNECTIONS = 4096
