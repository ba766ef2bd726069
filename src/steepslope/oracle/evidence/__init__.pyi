from .registry import EVIDENCE as EVIDENCE, kinds as kinds
