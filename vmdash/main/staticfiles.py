"""How files for the browser are served: hashed names, cached for ever."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedStorage(CompressedManifestStaticFilesStorage):
    """Hashed file names, also inside the `import` statements of JavaScript modules.

    An `import` in a comment counts too; one that leads back to its own file cannot be hashed.
    """

    support_js_module_import_aggregation = True
