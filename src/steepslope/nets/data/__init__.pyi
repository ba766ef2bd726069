# What the package lends to the others. What is public, __all__ names.
from ._augmentation import Augmented as Augmented
from ._class_names import (
    ADVICE as ADVICE,
    NUM_CLASSES as NUM_CLASSES,
    ClassNames as ClassNames,
    labels_by_name as labels_by_name,
    read_classes as read_classes,
    wordnet_labels as wordnet_labels,
)
from ._image_files import CARD as CARD, ShiftCard as ShiftCard
from ._images import (
    ALL as ALL,
    ARRAYS as ARRAYS,
    SHEET as SHEET,
    SUFFIXES as SUFFIXES,
    Dataset as Dataset,
    Divisible as Divisible,
    Images as Images,
    Labels as Labels,
    Picture as Picture,
    as_colour as as_colour,
    as_grey as as_grey,
    image_in_pil as image_in_pil,
    image_row_ids as image_row_ids,
    image_rows_by_id as image_rows_by_id,
    known_image_formats as known_image_formats,
    labels_at as labels_at,
    open_image as open_image,
    require_image_labels as require_image_labels,
)
from ._shifted import (
    Shift as Shift,
    Shifted as Shifted,
    ShiftSpec as ShiftSpec,
    Size as Size,
    shift_recipes_of as shift_recipes_of,
)
from ._specs import (
    DATASETS as DATASETS,
    SPLIT_SEED as SPLIT_SEED,
    TEST as TEST,
    TRAIN as TRAIN,
    DatasetSpec as DatasetSpec,
    holdout_split as holdout_split,
    parse_data as parse_data,
)
from ._transforms import (
    LUMA as LUMA,
    WIDEST as WIDEST,
    ImageBatch as ImageBatch,
    Resize as Resize,
    Transform as Transform,
    decoded_image_batches as decoded_image_batches,
    decoded_or_reason as decoded_or_reason,
    image_batch_loader as image_batch_loader,
    read_transform as read_transform,
    transform_for_data as transform_for_data,
    unreadable_image as unreadable_image,
    why_unreadable as why_unreadable,
)
