"""What transformers checks of each of its own models, of each of ours."""

import copy
import inspect
import json
import pickle
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

import av_emotion_hf as av

ENDS = ("Model", "ForPreTraining", "ForSequenceClassification")
HEADS = [getattr(av, name) for name in av.__all__ if name.endswith(ENDS) and "PreTrained" not in name]
CLASSIFIERS = [head for head in HEADS if head.__name__.endswith("Classification")]
every_head = pytest.mark.parametrize("head", HEADS, ids=lambda head: head.__name__)
every_classifier = pytest.mark.parametrize("head", CLASSIFIERS, ids=lambda head: head.__name__)


def run(model, given, **more):
    with torch.no_grad():
        return model(**given, **more)


def assert_same(got, expected, **tolerance):
    assert list(got) == list(expected)
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value, **tolerance or {"rtol": 0, "atol": 0}, msg=name)


def test_all_heads_are_checked():
    assert len(HEADS) == 8 and len(CLASSIFIERS) == 3


@every_head
def test_saved_and_loaded_it_gives_the_same_bits(build, arguments, tmp_path, head):
    model, given = build(head), arguments(head)
    model.save_pretrained(tmp_path / "once")
    loaded, info = head.from_pretrained(tmp_path / "once", output_loading_info=True)
    assert not any(info[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert_same(run(loaded.eval(), given), run(model, given))
    loaded.save_pretrained(tmp_path / "twice")
    once, twice = (tmp_path / name / "model.safetensors" for name in ("once", "twice"))
    assert once.read_bytes() == twice.read_bytes()
    assert sorted(path.name for path in (tmp_path / "once").iterdir()) == ["config.json", "model.safetensors"]


@every_head
def test_missing_and_extra_weights_are_named(build, tmp_path, head):
    model = build(head)
    model.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    lost = next(name for name in weights if name.endswith("weight_hh_l0"))
    del weights[lost]
    save_file(weights | {"of.another.model": torch.ones(3)}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    loaded, info = head.from_pretrained(tmp_path, output_loading_info=True)
    assert set(info["missing_keys"]) == {lost} and set(info["unexpected_keys"]) == {"of.another.model"}
    recurrent = loaded.state_dict()[lost]
    square = recurrent.T @ recurrent  # what is missing is drawn as the class says: orthogonal
    torch.testing.assert_close(square, torch.eye(len(square)), atol=1e-5, rtol=0)


@every_head
def test_without_weights_it_is_drawn_as_by_its_constructor(build, head):
    direct = build(head)
    torch.manual_seed(0)
    loaded = head.from_pretrained(None, config=direct.config, state_dict={})
    for name, value in [*loaded.named_parameters(), *loaded.named_buffers()]:
        drawn = dict([*direct.named_parameters(), *direct.named_buffers()])[name]
        assert value.shape == drawn.shape and torch.isfinite(value.float()).all(), name
        if value.is_floating_point() and value.numel() > 1:
            assert value.std().item() == pytest.approx(drawn.std().item(), rel=0.7, abs=0.05), name


@pytest.mark.slow
@every_head
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_finite_and_near(build, arguments, tmp_path, head, dtype):
    model, given = build(head), arguments(head)
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    if backbone := config.get("image_config", config).get("backbone_config"):
        backbone["dtype"] = "float32"  # as where the backbone was trained on its own
        (tmp_path / "config.json").write_text(json.dumps(config))
    half = head.from_pretrained(tmp_path, dtype=dtype).eval()
    assert {value.dtype for name, value in half.named_parameters() if "frontend" not in name} == {dtype}
    assert {value.dtype for name, value in half.named_parameters() if "frontend" in name} <= {torch.float32}
    expected, got = run(model, given), run(half, given)
    for name, value in expected.items():
        assert torch.isfinite(got[name].float()).all(), name
        if name in ("logits", "pooler_output", "fused_embeds", "reconstruction"):
            torch.testing.assert_close(got[name].float(), value, atol=0.1, rtol=0.1)
    half.save_pretrained(tmp_path / "half")
    again = head.from_pretrained(tmp_path / "half", dtype=dtype).eval()
    assert_same(run(again, given), got)


@every_head
def test_half_precision_weights_load_as_single_precision(build, arguments, tmp_path, head):
    model, given = build(head), arguments(head)
    model.to(torch.bfloat16).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    assert torch.bfloat16 in {value.dtype for value in weights.values()}
    whole = head.from_pretrained(tmp_path, dtype=torch.float32).eval()
    assert {value.dtype for value in whole.parameters()} == {torch.float32}
    assert all(torch.isfinite(value).all() for value in run(whole, given).values() if value.is_floating_point())


@every_head
def test_autocast_is_finite_and_near(build, arguments, head):
    model, given = build(head), arguments(head)
    expected = run(model, given)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = run(model, given)
    for name, value in expected.items():
        torch.testing.assert_close(got[name].float(), value.float(), atol=0.15, rtol=0.1, msg=name)


@every_classifier
def test_labels_are_remapped(build, tmp_path, head):
    build(head).save_pretrained(tmp_path)
    names = ["calm", "angry", "glad", "sad", "afraid"]
    labels = {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}
    with pytest.raises(RuntimeError, match="ignore_mismatched_sizes"):
        head.from_pretrained(tmp_path, **labels)
    loaded, info = head.from_pretrained(tmp_path, **labels, ignore_mismatched_sizes=True, output_loading_info=True)
    assert {entry[0] for entry in info["mismatched_keys"]} == {"classifier.weight", "classifier.bias"}
    assert loaded.classifier.out_features == 5 and loaded.config.id2label[4] == "afraid"
    assert torch.isfinite(loaded.classifier.weight).all() and loaded.classifier.weight.std() > 0
    saved = load_file(tmp_path / "model.safetensors")
    for name, value in loaded.state_dict().items():
        if not name.startswith("classifier"):
            assert torch.equal(value, saved[name])
    counted = head.from_pretrained(tmp_path, num_labels=4, ignore_mismatched_sizes=True)
    assert counted.classifier.out_features == 4 and len(counted.config.id2label) == 4


@every_head
def test_the_main_input_comes_first(head):
    names = list(inspect.signature(head.forward).parameters)
    assert names[1] == head.main_input_name


@every_head
def test_a_tuple_holds_what_the_output_holds(build, arguments, head):
    model, given = build(head), arguments(head)
    output, values = run(model, given), run(model, given, return_dict=False)
    assert isinstance(values, tuple)
    for value, expected in zip(values, output.to_tuple(), strict=True):
        assert torch.equal(value, expected)


@every_head
def test_a_configuration_can_ask_for_tuples(build, arguments, head):
    model, given = build(head), arguments(head)
    expected = run(model, given)
    for part in model.modules():
        if isinstance(part, av.AVEmotionPreTrainedModel):
            part.config.return_dict = False
    values = run(model, given)
    assert isinstance(values, tuple)
    for value, wanted in zip(values, expected.to_tuple(), strict=True):
        assert torch.equal(value, wanted)


@every_head
def test_a_forward_names_its_arguments(head):
    """The Trainer drops columns that are not among them."""
    parameters = inspect.signature(head.forward).parameters
    inputs = {"Audio": ["audio"], "Image": ["image"]}.get(head.__name__[9:14], ["audio", "image"])
    wanted = {name for kind in inputs for name in getattr(av, f"AVEmotion{kind.title()}Model").input_names}
    wanted |= {"labels"} if head in CLASSIFIERS else set()
    wanted |= {f"{kind}_statistics" for kind in inputs} if "PreTraining" not in head.__name__ else set()
    wanted |= {"mask_time_indices", "return_loss"} if "PreTraining" in head.__name__ else set()
    wanted |= {"teacher_states"} if head is av.AVEmotionAudioForPreTraining else set()
    assert set(parameters) == wanted | {"self", "kwargs"}


@every_head
def test_it_is_deterministic_and_can_be_copied_and_pickled(build, arguments, head):
    model, given = build(head), arguments(head)
    expected = run(model, given)
    for again in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert_same(run(again, given), expected)
    assert model.config.to_dict() == copy.deepcopy(model.config).to_dict()
    assert type(model.config)(**model.config.to_dict()).to_dict() == model.config.to_dict()


@every_head
def test_inputs_stay_as_they_are(build, arguments, head):
    model, given = build(head), arguments(head)
    before = copy.deepcopy(given)
    run(model, given)
    assert all(torch.equal(given[name], before[name]) for name in given)


@every_head
def test_gradient_checkpointing_is_refused(build, head):
    with pytest.raises(ValueError, match="does not support"):
        build(head).gradient_checkpointing_enable()


@every_classifier
def test_hard_and_soft_labels_give_the_loss(build, arguments, head):
    model, given = build(head), arguments(head)
    labels = torch.tensor([0, 2, 1])
    hard = model(**given, labels=labels)
    expected = torch.nn.functional.cross_entropy(hard.logits, labels)
    torch.testing.assert_close(hard.loss, expected)
    soft = model(**given, labels=torch.nn.functional.one_hot(labels, 3).float())
    torch.testing.assert_close(soft.loss, expected)


COMPILED = """
import sys, torch, av_emotion_hf

folder, name = sys.argv[1:]
model = getattr(av_emotion_hf, name).from_pretrained(folder).eval()
with torch.no_grad(), torch._dynamo.config.patch(allow_rnn=True):
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    torch.save(compiled(**torch.load(f"{folder}/given.pt")).logits, f"{folder}/logits.pt")
"""


@pytest.mark.slow
@every_classifier
def test_compiled_it_is_one_graph_from_features_on(build, head, tmp_path):
    """What makes the features picks peaks and has no fixed shapes."""
    model, given = build(head), {}
    for encoder, values, mask in (
        ("audio_encoder", "input_features", "attention_mask"),
        ("image_encoder", "image_features", "pixel_mask"),
    ):
        if hasattr(model, encoder):
            given[values] = torch.randn(3, 7, getattr(model, encoder).num_features)
            given[mask] = (torch.arange(7) < torch.tensor([[7], [3], [0]])).long()
    model.save_pretrained(tmp_path)
    torch.save(given, tmp_path / "given.pt")
    # in a process of its own: after an export to ONNX torch.compile no longer knows that it is not exporting
    subprocess.run([sys.executable, "-c", COMPILED, str(tmp_path), type(model).__name__], check=True)
    with torch.no_grad():
        torch.testing.assert_close(torch.load(tmp_path / "logits.pt"), model(**given).logits, rtol=1e-4, atol=1e-5)
