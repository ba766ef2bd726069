from .registry import EVIDENCE as EVIDENCE, kinds_of_evidence as kinds_of_evidence
