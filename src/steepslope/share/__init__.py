"""A gate or an oracle for others: its folder with a model card, here or on the Hugging Face Hub.

``sharing``: which files are shared. ``model_card``: what others have to know of it, read off the gate or oracle and
off a report; its prose is ``model_card.md.jinja``. ``options``: what can be chosen about both.
"""
