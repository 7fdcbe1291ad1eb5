"""Settings of config.json that no table of names can express: they set several fields, or have several forms.

`read_*` makes BertConfig fields from the settings and the fields read so far. `write_*` makes settings from a config.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bert_lightning.model.config import BertConfig

HuggingFaceSettings = Mapping[str, Any]  # the content of a config.json
ConfigFields = dict[str, Any]  # BertConfig fields, or settings that are to be written

_ATTENTION_TYPES = {False: "full_attention", True: "sliding_attention"}


def read_position_offset(settings: HuggingFaceSettings, fields: ConfigFields) -> ConfigFields:
    """Return the position fields of a RoBERTa model. Its first token uses row `pad_token_id` + 1 of the table.

    No token uses the rows before it, so the table has more rows than a sequence has tokens.

    Raises:
        ValueError: if pad_token_id is not an id.
    """
    pad = settings.get("pad_token_id", 1)
    if not isinstance(pad, int) or isinstance(pad, bool) or pad < 0:
        raise ValueError(f"pad_token_id={pad!r:.40} must be an id: positions are counted from it")
    return {"position_offset": pad + 1, "max_position_embeddings": fields["max_position_embeddings"] - pad - 1}


def write_position_offset(config: BertConfig) -> ConfigFields:
    """Return the settings for the position fields: the inverse of `read_position_offset`."""
    size = config.max_position_embeddings + config.position_offset
    return {"pad_token_id": config.position_offset - 1, "max_position_embeddings": size}


def read_position_kind(settings: HuggingFaceSettings, fields: ConfigFields) -> ConfigFields:
    """Return the kind of positions of a DistilBERT model: a learned table or a fixed, sinusoidal one."""
    return {"positions": "sinusoidal" if settings.get("sinusoidal_pos_embds") else "learned"}


def write_position_kind(config: BertConfig) -> ConfigFields:
    """Return the setting for the kind of positions: the inverse of `read_position_kind`."""
    return {"sinusoidal_pos_embds": config.positions == "sinusoidal"}


def read_local_attention(settings: HuggingFaceSettings, fields: ConfigFields) -> ConfigFields:
    """Return the fields for ModernBERT's local layers and rotary angles.

    The settings have the form of transformers 5 or that of the published files.

    Raises:
        ValueError: if a setting has the wrong type, or our encoder does not support the architecture.
    """
    layers = fields["num_hidden_layers"]
    every = settings.get("global_attn_every_n_layers", 3)
    if not isinstance(every, int) or every < 1:
        raise ValueError(f"global_attn_every_n_layers={every!r:.40} must be a number of layers")
    kinds = settings.get("layer_types") or [_ATTENTION_TYPES[bool(i % every)] for i in range(layers)]
    if not isinstance(kinds, list):
        raise ValueError(f"layer_types={kinds!r:.40} must be a list of kinds of attention")
    every = next((i for i, kind in enumerate(kinds) if i and kind == _ATTENTION_TYPES[False]), layers)
    if kinds != [_ATTENTION_TYPES[bool(i % every)] for i in range(layers)]:
        raise ValueError(f"layer_types={kinds!r:.200} is not supported: every n-th layer must be global, the first too")
    theta = {
        kind: _rope_parameters(settings, name).get("rope_theta", settings.get(f"{kind}_rope_theta", default))
        for kind, name, default in (
            ("global", _ATTENTION_TYPES[False], 160_000.0),
            ("local", _ATTENTION_TYPES[True], 10_000.0),
        )
    }
    if every == 1:
        return {"rope_theta": theta["global"]}
    return {
        "local_window": settings.get("local_attention", 128),
        "global_every": every,
        "rope_theta": theta["global"],
        "local_rope_theta": theta["local"],
    }


def _rope_parameters(settings: HuggingFaceSettings, kind: str) -> HuggingFaceSettings:
    """Return the `rope_parameters` of one kind of attention.

    Raises:
        ValueError: if they are malformed, or name another `rope_type` than the default.
    """
    angles = settings.get("rope_parameters") or {}
    if not isinstance(angles, dict) or not isinstance(found := angles.get(kind, {}), dict):
        raise ValueError(f"rope_parameters={angles!r:.80} must hold settings for each kind of attention")
    if (form := found.get("rope_type", "default")) != "default":
        raise ValueError(f"rope_type={form!r:.40} is not supported: this encoder has rope_type='default'")
    return found


def write_local_attention(config: BertConfig) -> ConfigFields:
    """Return the settings for local attention in the form of transformers 5: the inverse of `read_local_attention`."""
    local_theta = config.rope_theta if config.local_rope_theta is None else config.local_rope_theta
    return {
        "layer_types": [_ATTENTION_TYPES[config.is_local(i)] for i in range(config.num_hidden_layers)],
        "rope_parameters": {
            _ATTENTION_TYPES[False]: {"rope_type": "default", "rope_theta": config.rope_theta},
            _ATTENTION_TYPES[True]: {"rope_type": "default", "rope_theta": local_theta},
        },
        "local_attention": config.local_window or 128,
    }
