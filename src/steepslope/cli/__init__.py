"""The commands, one a file: typed functions whose parameters and docstrings make the command line.

Whatever imports torch is imported inside the functions, so that help is quick.
"""
