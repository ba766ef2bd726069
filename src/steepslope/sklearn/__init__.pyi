from .trusted_classifier import Decision as Decision, TrustedClassifier as TrustedClassifier
