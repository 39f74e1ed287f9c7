"""A version of a plugin as one tenant uses it: which features, which configurations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from prismicx.domain.errors import InvalidNameError
from prismicx.domain.identifiers import Version
from prismicx.domain.plugins import PluginVersion


class PluginSetup(BaseModel):
    """A version of a plugin as one tenant uses it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    version: Version
    configurations: dict[str, JsonValue] = Field(default_factory=dict)
    features_enabled: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, plugin: str, version: PluginVersion, *, configurations: Mapping[str, JsonValue], features: Sequence[str]
    ) -> Self:
        """Return the version with these features, and these configurations over its defaults, key by key.

        Raises:
            InvalidNameError: the version does not offer a feature.
        """
        for feature in features:
            if feature not in version.features:
                offered = ", ".join(version.features) or "none"
                raise InvalidNameError(f"feature of {plugin} {version.version}", feature, f"it offers {offered}")
        return cls(
            version=version.version,
            configurations={**version.defaults, **configurations},
            features_enabled=tuple(dict.fromkeys(features)),
        )
