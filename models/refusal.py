# SPDX-License-Identifier: GPL-2.0-or-later
"""Why a model may not run."""


class ModelRefused(Exception):
    """A model may not run. ``code`` is a locale key ``problem.<code>``, ``params`` what its sentence needs.

    Every one has ``file``. Raised here: ``model.missing``; ``model.unreadable`` (reason); ``model.too_large`` (size_mb,
    limit_mb); ``model.digest_mismatch`` (expected, found); ``model.untrusted`` (found); ``model.checksums`` and
    ``model.trust_store`` (reason): the file of digests itself can't be used; ``model.not_onnx`` (reason);
    ``model.external_data`` (where); ``model.custom_domain`` (domain); ``model.opset`` (limit, found).
    """

    def __init__(self, code: str, **params: str | float) -> None:
        super().__init__(code, params)
        self.code = code
        self.params: dict[str, str | float] = params

    def __str__(self) -> str:
        return f"{self.code}: " + ", ".join(f"{name} {value}" for name, value in self.params.items())
