"""The evaluate step of a rollout: its Job, its progress, and the answers that later evaluations reuse."""
