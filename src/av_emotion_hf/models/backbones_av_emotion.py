"""Backbones, which other data have trained: configurations of networks of transformers."""

from transformers import PreTrainedConfig

POOLED = -1  # stands for the pooled output among the layers of an image model
DEPTH_FIELDS = {"whisper": "encoder_layers"}  # of a speech encoder; `num_hidden_layers` of the others


def default_backbone() -> PreTrainedConfig:
    """A ResNet of 1.3 million parameters, sized for faces of 96 x 96 pixels on a CPU."""
    from transformers import ResNetConfig  # takes seconds that the acoustic descriptors do not need

    return ResNetConfig(embedding_size=32, hidden_sizes=[32, 64, 128, 128], depths=[2, 2, 2, 2], layer_type="basic")


def as_config(fields: dict, default: str) -> PreTrainedConfig:
    """The configuration of a backbone, of the type that it names or of the default one."""
    from transformers import CONFIG_MAPPING

    fields = dict(fields)
    model_type = fields.pop("model_type", default)
    if model_type not in CONFIG_MAPPING:
        raise ValueError(f"backbone_config is of the unknown model type {model_type!r}; give one of transformers")
    return CONFIG_MAPPING[model_type].from_dict(fields)


def depth(backbone_config: PreTrainedConfig) -> int:
    """Number L of layers of an encoder."""
    return getattr(backbone_config, DEPTH_FIELDS.get(backbone_config.model_type, "num_hidden_layers"))


def cut_layers(backbone_config: PreTrainedConfig, layers: int) -> None:
    """Leave the first layers of an encoder in its configuration.

    Raises:
        ValueError: it has fewer.
    """
    if not 1 <= layers <= depth(backbone_config):
        raise ValueError(
            f"{layers} layers of a {backbone_config.model_type} encoder: it has {depth(backbone_config)}; choose from "
            f"1 to {depth(backbone_config)}"
        )
    setattr(backbone_config, DEPTH_FIELDS.get(backbone_config.model_type, "num_hidden_layers"), layers)


def feature_size(backbone_config: PreTrainedConfig, layers: list[int] | None, fields: int) -> int:
    """Size F of the features of an image model, found out by the network itself where its configuration lacks it.

    Args:
        backbone_config: of the image model.
        layers: numbers of hidden states that stand side by side, or `POOLED`; `None` for the pooled output alone.
        fields: into which each of these is averaged, in each direction.

    Raises:
        ValueError: the model has no such hidden state, or one of them has no height and width.
    """
    hidden_sizes = getattr(backbone_config, "hidden_sizes", None)
    if layers is None and hidden_sizes is not None:
        return hidden_sizes[-1]
    import torch
    from transformers import AutoModel

    try:
        with torch.device("meta"):
            model = AutoModel.from_config(backbone_config).eval()
            output = model(torch.zeros(1, 3, 64, 64), output_hidden_states=layers is not None)
    except ImportError as error:
        raise ImportError(
            f"backbone {backbone_config.architecture!r} needs timm, which is not installed: "
            "pip install 'av-emotion-hf[timm]'"
        ) from error
    if layers is None:
        return output.pooler_output.shape[1]
    states, sizes = output.hidden_states, {POOLED: output.pooler_output.shape[1]}
    for number in layers:
        if 0 <= number < len(states) and states[number].ndim == 4:
            sizes[number] = fields**2 * states[number].shape[1]
        elif number != POOLED:
            raise ValueError(
                f"backbone_layers={layers}: {number} is no layer with height and width of a "
                f"{backbone_config.model_type} network, which has 0 to {len(states) - 1}, and {POOLED} for its pooled "
                "output; choose others"
            )
    return sum(sizes[number] for number in layers)


__all__ = ["POOLED", "as_config", "cut_layers", "default_backbone", "depth", "feature_size"]
