"""A classifier as one ONNX file: waveforms and face crops in, logits out, clips of any length, no Python needed."""

import logging
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..checkpoints import ModelBundle, load_classifier
from ..errors import InputError
from ..utils import require_writable, writing

INPUTS = {
    "audio": ("input_values", "attention_mask"),
    "image": ("pixel_values", "pixel_mask"),
    "fusion": ("input_values", "attention_mask", "pixel_values", "pixel_mask"),
}
TRACED = (2, 3.0, 5)  # clips, seconds and crops of the example that is traced
CHECKED = ((1, 0.5, 1), (1, 7.3, 40), (3, 2.1, 12))  # and of those for which the file is compared with the model
LOGIT_TOLERANCE = 1e-3
INT8_LOGIT_TOLERANCE = 0.5


class _Logits(nn.Module):
    """The model with its tensors in a fixed order, and only the logits."""

    def __init__(self, model: PreTrainedModel, names: tuple[str, ...]):
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *tensors: Tensor) -> Tensor:
        return self.model(**dict(zip(self.names, tensors, strict=True))).logits


def export_onnx(checkpoint: str, out: str | Path, int8: bool = False) -> dict[str, Any]:
    """Write a classifier of clips as ONNX, and compare the file with the model through ONNX Runtime.

    The network in the file accepts `input_values (B, S)` and `attention_mask (B, S)`, `pixel_values (B, Tv, 3, H, W)`
    and `pixel_mask (B, Tv)`, or those of its modality, and returns `logits (B, K)`. B, S and Tv are free. For a
    missing modality pass one masked sample or crop. The labels, the sampling rate and the size of a crop are stored in
    the metadata of the file.

    Args:
        checkpoint: folder or Hub name of an audio, image or fusion classifier.
        out: the file to write.
        int8: store the weights of LSTM layers and of the face network's convolutions as 8-bit integers.

    Returns:
        `path`, `bytes`, `inputs`, `max_difference` from the model's logits on clips of other lengths, `tolerance`.

    Raises:
        InputError: the checkpoint is not a classifier of clips, its descriptors cannot be exported, a library is
            missing, or `out` cannot be written.
        RuntimeError: the logits of the file differ from the model's.
    """
    onnx, runtime = _libraries()
    require_writable(out)
    out = Path(out)
    modality, classifier = load_classifier(checkpoint)
    if modality == "expression":
        raise InputError(f"{checkpoint}: is an expression recognizer of images; export a classifier of clips")
    model = classifier.model.eval()
    side = classifier.image_processor.size["height"] if classifier.image_processor else 0
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    with writing(out, only_disk=True), tempfile.TemporaryDirectory(dir=out.parent) as folder:
        traced, folded = Path(folder, "traced.onnx"), Path(folder, "folded.onnx")
        _trace(model, modality, side).save(traced)
        _fold(runtime, traced, folded)
        if int8:
            _quantize(onnx, folded)
        graph = onnx.load(folded)
        onnx.helper.set_model_props(graph, _metadata(model, classifier))
        onnx.save(graph, folded)
        session = runtime.InferenceSession(folded, providers=["CPUExecutionProvider"])
        difference = max(_difference(session, model, modality, side, shape) for shape in CHECKED)
        tolerance = INT8_LOGIT_TOLERANCE if int8 else LOGIT_TOLERANCE
        if not difference <= tolerance:
            raise RuntimeError(f"{checkpoint}: the exported logits differ by {difference:.3g}, more than {tolerance}")
        folded.replace(out)
    return {
        "path": str(out),
        "bytes": out.stat().st_size,
        "inputs": list(INPUTS[modality]),
        "max_difference": difference,
        "tolerance": tolerance,
    }


def _libraries() -> tuple[ModuleType, ModuleType]:
    """The modules of onnx and ONNX Runtime."""
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  torch.onnx needs it
    except ImportError as error:
        raise InputError(
            f"export needs {error.name}, which is not installed: pip install 'av-emotion-hf[onnx]'"
        ) from error
    return onnx, onnxruntime


def _trace(model: PreTrainedModel, modality: str, side: int) -> torch.onnx.ONNXProgram:
    """The ONNX program of the model, with free numbers of clips, samples and crops."""
    names = INPUTS[modality]
    free = torch.export.Dim.DYNAMIC
    shapes = tuple({0: free, 1: free} for _ in names)
    given = example_inputs(modality, side, *TRACED)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with torch.no_grad():
            # its optimizer replaces a sum with 1e-12 by the other summand, and the logarithm of 0 follows
            program = torch.onnx.export(
                _Logits(model, names).eval(),
                tuple(given.values()),
                dynamic_shapes=(shapes,),
                input_names=names,
                output_names=("logits",),
                optimize=False,
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        cause = error.__cause__
        while cause is not None and not (type(cause) is ValueError and "cannot be exported" in str(cause)):
            cause = cause.__cause__
        if cause is None:
            raise
        raise InputError(str(cause)) from error
    assert program is not None  # as `dynamo=True`, the default, promises
    return program


def _fold(runtime: ModuleType, source: Path, target: Path) -> None:
    """Compute once what does not depend on the input: tables of cosines, weights in ONNX's order."""
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # it warns of each constant that it leaves as it is
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    runtime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def _quantize(onnx: ModuleType, path: Path) -> None:
    """Weights as 8-bit integers, in place; the front-end, whose sums cover twelve powers of ten, stays as it is."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    graph = onnx.load(path).graph
    dimensions = {one.name: len(one.dims) for one in graph.initializer}
    nodes = [
        node.name
        for node in graph.node
        if node.op_type == "LSTM" or (node.op_type == "Conv" and dimensions.get(node.input[1]) == 4)
    ]
    quantize_dynamic(path, path, nodes_to_quantize=nodes, weight_type=QuantType.QUInt8)


def _metadata(model: PreTrainedModel, classifier: ModelBundle) -> dict[str, str]:
    """What a program needs to know that has only the file."""
    labels = {int(index): name for index, name in (model.config.id2label or {}).items()}
    metadata = {"labels": ",".join(labels[index] for index in sorted(labels))}
    if classifier.feature_extractor is not None:
        metadata["sampling_rate"] = str(classifier.feature_extractor.sampling_rate)
    if classifier.image_processor is not None:
        metadata["crop_size"] = str(classifier.image_processor.size["height"])
    return metadata


def example_inputs(modality: str, side: int, clips: int, seconds: float, crops: int) -> dict[str, Tensor]:
    """Voice-like waveforms and images of noise, the second clip half as long as the others."""
    generator = torch.Generator().manual_seed(clips)
    time = torch.arange(round(seconds * 16000)) / 16000
    pitch = 130 + 40 * torch.arange(clips)[:, None] + 15 * torch.sin(4 * time)
    voice = 0.2 * torch.sin(torch.cumsum(2 * torch.pi * pitch / 16000, dim=1)).clamp(-0.7, 0.3)
    waveforms = voice * (torch.sin(3 * time) > -0.5) + 0.01 * torch.randn(voice.shape, generator=generator)
    crops_of_noise = torch.randn(clips, crops, 3, side, side, generator=generator)
    heard, seen = torch.ones(waveforms.shape, dtype=torch.long), torch.ones(clips, crops, dtype=torch.long)
    if clips > 1:
        heard[1, len(time) // 2 :], seen[1, crops // 2 :] = 0, 0
    given = {
        "input_values": waveforms * heard,
        "attention_mask": heard,
        "pixel_values": crops_of_noise * seen[..., None, None, None],
        "pixel_mask": seen,
    }
    return {name: given[name] for name in INPUTS[modality]}


def _difference(
    session: Any, model: PreTrainedModel, modality: str, side: int, shape: tuple[int, float, int]
) -> float:
    """Largest difference of a logit between the file, in a session of ONNX Runtime, and the model."""
    given = example_inputs(modality, side, *shape)
    with torch.no_grad():
        expected = model(**given).logits.numpy()
    got = session.run(None, {name: value.numpy() for name, value in given.items()})[0]
    return float(np.abs(got - expected).max())


__all__ = ["INT8_LOGIT_TOLERANCE", "LOGIT_TOLERANCE", "example_inputs", "export_onnx"]
