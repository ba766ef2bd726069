"""From images to classifier outputs: data sets, classifiers, extraction."""
