"""A gate or an oracle for others: a model card, and a repository on the Hugging Face Hub.

``sharing``: what is shared, and how it is uploaded. ``model_card``: what others have to know of it; ``card_facts``:
what of that is read off the gate or oracle itself.
"""
