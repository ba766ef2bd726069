"""Tests of finetuning."""
