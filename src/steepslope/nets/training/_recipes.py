"""The paper's trainings, as files of options that ``--config`` takes by their names.

Comments in the files name the source of each number. Those for ``train-classifier`` end in ``-classifier``. All others
are for ``finetune``, and are named after the data, or after the data, the oracle and the classifier:
``imagenet-vit-resnet``.
"""

from pathlib import Path


def training_recipes() -> dict[str, Path]:
    """Return the YAML file of each training by its name, sorted.

    >>> list(training_recipes())[:2]
    ['cifar10-classifier', 'cifar10']
    """
    return {path.stem: path for path in sorted(Path(__file__).with_name("recipes").glob("*.yaml"))}
