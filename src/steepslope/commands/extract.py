"""`steepslope extract`."""

from __future__ import annotations

from pathlib import Path

from steepslope.progress import console


def extract(classifier: str, data: str, out: str) -> None:
    """Run a frozen classifier over images and keep its logits and features.

    Parameters
    ----------
    classifier
        checkpoint:DIR, as train-classifier writes it.
    data
        digits, idx:DIR or torchvision:NAME. With :train or :test the outputs go to the folder itself; without
        the rows fitted on, those held out and the test split go to its subfolders train, holdout and test.
    out
        Folder for the outputs.
    """
    from steepslope.data.classifiers import load_classifier
    from steepslope.data.datasets import parse_dataset
    from steepslope.data.extraction import extract_to_folder

    for folder, outputs in extract_to_folder(load_classifier(classifier), parse_dataset(data), Path(out)).items():
        accuracy = 100 * outputs.is_correct.mean()
        console().print(f"{folder}: {len(outputs):,} predictions, accuracy {accuracy:.2f} %")
