"""The public import for operators' validators; see docs/validators.md."""

from daemon.domain.validation.results import (
    KEEP,
    Block,
    Candidate,
    Doubt,
    Fix,
    Retry,
    Verdict,
    validator,
)

__all__ = ["KEEP", "Block", "Candidate", "Doubt", "Fix", "Retry", "Verdict", "validator"]
