# What the package lends to the others. What is public, __all__ names.
from ._artifact import (
    AGAIN as AGAIN,
    DELETE as DELETE,
    DIGEST as DIGEST,
    FILES as FILES,
    MADE as MADE,
    SIGNATURE as SIGNATURE,
    Artifact as Artifact,
    as_it_comes_from_json as as_it_comes_from_json,
    made_by_command as made_by_command,
    require_free_file as require_free_file,
)
from ._cache import read_cache as read_cache, write_cache as write_cache
from ._extras import (
    EXTRAS as EXTRAS,
    imported_by_name as imported_by_name,
    optional_library as optional_library,
    parse_query as parse_query,
    require_extra as require_extra,
    versions_of as versions_of,
)
from ._folders import (
    LOCK as LOCK,
    digest_of as digest_of,
    field as field,
    fingerprint as fingerprint,
    locked as locked,
    positive as positive,
    read_json as read_json,
    require_no_file as require_no_file,
    staged_folder as staged_folder,
    staging_of as staging_of,
    undisturbed_folder as undisturbed_folder,
    write_json as write_json,
)
from ._hub import (
    HUB as HUB,
    folder_or_hub_snapshot as folder_or_hub_snapshot,
    is_hub as is_hub,
    repository_and_revision as repository_and_revision,
    upload_to_hub as upload_to_hub,
)
from ._memory import (
    arrays_that_fit_memory as arrays_that_fit_memory,
    free_memory as free_memory,
    require_memory_for as require_memory_for,
)
from ._progress import Notice as Notice, bar as bar, say as say, silent as silent
from ._weights import load_arrays as load_arrays, save_arrays as save_arrays, written_safely as written_safely
from ._yaml_files import dataclass_from_yaml as dataclass_from_yaml, read_yaml as read_yaml, set_in_yaml as set_in_yaml
