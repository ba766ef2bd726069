from .registry import EVIDENCE as EVIDENCE
