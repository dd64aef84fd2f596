# SPDX-License-Identifier: GPL-2.0-or-later
"""Why a model may not run."""


class ModelRefused(Exception):  # noqa: N818  (a decision, not an accident)
    """A model may not run. ``code`` is a locale key ``problem.<code>``, ``params`` what its sentence needs.

    Every one has ``file``. Raised here: ``model.missing``; ``model.unreadable`` (detail); ``model.too_large`` (size_mb,
    limit_mb); ``model.digest_mismatch`` (expected, found); ``model.untrusted`` (found); ``model.checksums`` and
    ``model.trust_store`` (detail): the file of digests itself can't be used; ``model.not_onnx`` (detail);
    ``model.external_data`` (where); ``model.custom_domain`` (domain); ``model.opset`` (expected, found).
    """

    def __init__(self, code: str, **params: str | float) -> None:
        super().__init__(code, params)
        self.code = code
        self.params: dict[str, str | float] = params

    def __str__(self) -> str:
        return f"{self.code}: " + ", ".join(f"{name} {value}" for name, value in self.params.items())
