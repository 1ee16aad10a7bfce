"""The probe of a release's roster: which model types it knows, and the classes that each auto class makes of them."""

import transformers


def capture(job, record):
    """Capture the release's own tables, in its own order; no model is imported for that."""
    with record.step("roster"):
        record.facts["architectures"] = {name: architectures(name) for name in job["ask"]["auto_classes"]}


def architectures(auto_class):
    """Model type → names of the classes that an auto class makes of it, the first one by default.

    Raises:
        ValueError: When the release has no such auto class.
    """
    mapping = getattr(getattr(transformers, auto_class, None), "_model_mapping", None)
    names = getattr(mapping, "_model_mapping", None)  # by name: the outer mapping imports what it is asked for
    if names is None:
        raise ValueError(f"transformers {transformers.__version__} has no table of models for {auto_class}")
    return {kind: [found] if isinstance(found, str) else list(found) for kind, found in names.items()}
