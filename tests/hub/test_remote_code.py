import json
import shutil

import numpy as np
import pytest
import torch
from helpers.checkpoint_outputs import TASK, outputs
from helpers.clean_room import run_clean
from helpers.speech_encoders import CONFIGS
from transformers import AutoModelForVideoClassification, ResNetConfig, ResNetModel

import av_emotion_hf as av
from av_emotion_hf.auto import auto_classes
from av_emotion_hf.errors import InputError
from av_emotion_hf.hub import carry_remote_code, stage_remote_code

AUTO_CLASSES = {
    "audio": {
        "AutoConfig": "configuration_av_emotion.AVEmotionAudioConfig",
        "AutoModel": "modeling_av_emotion.AVEmotionAudioModel",
        "AutoModelForPreTraining": "modeling_av_emotion.AVEmotionAudioForPreTraining",
        "AutoModelForAudioClassification": "modeling_av_emotion.AVEmotionAudioForSequenceClassification",
        "AutoFeatureExtractor": "feature_extraction_av_emotion.AVEmotionFeatureExtractor",
    },
    "image": {
        "AutoConfig": "configuration_av_emotion.AVEmotionImageConfig",
        "AutoModel": "modeling_av_emotion.AVEmotionImageModel",
        "AutoModelForPreTraining": "modeling_av_emotion.AVEmotionImageForPreTraining",
        "AutoModelForVideoClassification": "modeling_av_emotion.AVEmotionImageForSequenceClassification",
        "AutoImageProcessor": "image_processing_av_emotion.AVEmotionImageProcessor",
    },
    "fusion": {
        "AutoConfig": "configuration_av_emotion.AVEmotionConfig",
        "AutoModel": "modeling_av_emotion.AVEmotionModel",
        "AutoModelForVideoClassification": "modeling_av_emotion.AVEmotionForSequenceClassification",
        "AutoFeatureExtractor": "feature_extraction_av_emotion.AVEmotionFeatureExtractor",
        "AutoImageProcessor": "image_processing_av_emotion.AVEmotionImageProcessor",
        "AutoProcessor": "processing_av_emotion.AVEmotionProcessor",
    },
}
ELSEWHERE = """
import importlib.util
from pathlib import Path

import numpy
import torch
from helpers.checkpoint_outputs import outputs

assert not any(importlib.util.find_spec(name) for name in ("av_emotion_hf", "torchaudio", "av", "soundfile"))
torch.set_num_threads(1)
given = dict(numpy.load("given.npz"))
for folder in Path("checkpoints").iterdir():
    numpy.savez(f"{folder.name}.npz", **outputs(folder, folder.name.split("-")[0], given, trust=True))
"""


@pytest.fixture
def save(audio_config, image_config, config, tmp_path):
    """Function that saves a classifier of each kind with what prepares its input; gives the models by kind."""

    def write(folder):
        extractor = av.AVEmotionFeatureExtractor()
        pictures = av.AVEmotionImageProcessor(size={"height": 32, "width": 32})
        parts = {
            "audio": (av.AVEmotionAudioForSequenceClassification(audio_config), extractor),
            "image": (av.AVEmotionImageForSequenceClassification(image_config), pictures),
            "fusion": (av.AVEmotionForSequenceClassification(config), av.AVEmotionProcessor(extractor, pictures)),
        }
        for kind, (model, processor) in parts.items():
            model.save_pretrained(folder / kind)
            processor.save_pretrained(folder / kind)
        return {kind: model.eval() for kind, (model, _) in parts.items()}

    return write


def test_staging_names_every_class_and_carries_only_the_core(save, tmp_path):
    save(tmp_path)
    for kind, expected in AUTO_CLASSES.items():
        staged = stage_remote_code(tmp_path / kind)
        config = json.loads((tmp_path / kind / "config.json").read_text())
        assert config["auto_map"] == expected
        assert list(config["custom_pipelines"]) == [TASK]
        assert config["custom_pipelines"][TASK]["impl"] == "pipeline_av_emotion.AVEmotionPipeline"
        code = sorted(path.name for path in (tmp_path / kind).glob("*.py"))
        assert code == staged and {f"{home.split('.')[0]}.py" for home in expected.values()} <= set(code)
        assert all(name.endswith("_av_emotion.py") for name in code) and "acoustics_av_emotion.py" not in code
    processor = json.loads((tmp_path / "fusion" / "processor_config.json").read_text())
    fusion = AUTO_CLASSES["fusion"]
    assert processor["auto_map"] == {"AutoProcessor": fusion["AutoProcessor"]}
    for part, name in (("feature_extractor", "AutoFeatureExtractor"), ("image_processor", "AutoImageProcessor")):
        assert processor[part]["auto_map"] == {name: fusion[name]}
    before = {path.name: path.read_bytes() for path in (tmp_path / "fusion").iterdir()}
    stage_remote_code(tmp_path / "fusion")  # a second time changes nothing
    assert {path.name: path.read_bytes() for path in (tmp_path / "fusion").iterdir()} == before


def test_a_pretrained_model_names_no_pipeline(audio_config, tmp_path):
    av.AVEmotionAudioForPreTraining(audio_config).save_pretrained(tmp_path)
    stage_remote_code(tmp_path)
    assert "custom_pipelines" not in json.loads((tmp_path / "config.json").read_text())


def test_a_network_of_transformers_needs_no_code(tmp_path):
    ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[8], depths=[1])).save_pretrained(tmp_path)
    before = (tmp_path / "config.json").read_text()
    assert stage_remote_code(tmp_path) == [] and (tmp_path / "config.json").read_text() == before


def test_a_folder_without_a_checkpoint_is_named(tmp_path):
    with pytest.raises(InputError, match=r"has no config\.json"):
        stage_remote_code(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "nothing"}')
    with pytest.raises(InputError, match=r"config\.json cannot be read"):
        stage_remote_code(tmp_path)


@pytest.fixture
def forget():
    """Take back that the classes carry their code, which transformers keeps for the process."""
    yield
    for _, _, name in auto_classes():
        if "_auto_class" in vars(getattr(av, name)):
            del getattr(av, name)._auto_class


def test_save_pretrained_carries_the_code_once_told_to(save, config, tmp_path, forget):
    model = save(tmp_path / "plain")["fusion"]
    assert not list((tmp_path / "plain" / "fusion").glob("*.py"))
    stage_remote_code(tmp_path / "plain" / "fusion")
    carry_remote_code(model)
    model.save_pretrained(tmp_path / "carried")
    av.AVEmotionProcessor(av.AVEmotionFeatureExtractor(), av.AVEmotionImageProcessor()).save_pretrained(
        tmp_path / "carried"
    )
    staged, carried = ({path.name for path in (tmp_path / name).glob("*.py")} for name in ("plain/fusion", "carried"))
    assert staged == carried
    entries = json.loads((tmp_path / "carried" / "config.json").read_text())
    assert entries["auto_map"] == AUTO_CLASSES["fusion"] and list(entries["custom_pipelines"]) == [TASK]
    processor = json.loads((tmp_path / "carried" / "processor_config.json").read_text())
    assert processor["auto_map"]["AutoProcessor"] == AUTO_CLASSES["fusion"]["AutoProcessor"]


def test_the_installed_package_wins_and_needs_no_trust(save, tmp_path):
    from transformers import pipeline

    save(tmp_path)
    stage_remote_code(tmp_path / "fusion")
    model = AutoModelForVideoClassification.from_pretrained(tmp_path / "fusion")
    assert type(model) is av.AVEmotionForSequenceClassification
    pipe = pipeline(TASK, model=str(tmp_path / "fusion"), device="cpu")
    assert type(pipe) is av.AVEmotionPipeline and type(pipe.model) is type(model)


@pytest.mark.slow
def test_a_checkpoint_gives_the_same_bits_where_only_torch_and_transformers_are(
    save, audio_config, config, waveforms, crops, tmp_path
):
    """With a speech backbone as without one."""
    rng = np.random.default_rng(0)
    given = {
        "input_values": waveforms[0],
        "attention_mask": waveforms[1],
        "pixel_values": crops[0],
        "pixel_mask": crops[1],
        "audio_hidden": torch.arange(25).expand(3, -1) % 10 == 0,
        "image_hidden": torch.arange(5).expand(3, -1) % 5 == 0,
        "waveform": waveforms[0][0],
        "faces": torch.from_numpy(rng.integers(0, 256, (4, 50, 40, 3), dtype=np.uint8)),
    }
    given = {name: value.numpy() for name, value in given.items()}
    np.savez(tmp_path / "given.npz", **given)
    save(tmp_path / "checkpoints")
    config.audio_config = audio_config = av.AVEmotionAudioConfig(
        **{name: getattr(audio_config, name) for name in ("id2label", "label2id", "hidden_size", "num_mel_bins")},
        backbone_config=CONFIGS["whisper"].to_dict(),
        backbone_sums=2,
    )
    for kind, model_class, own in (
        ("audio", av.AVEmotionAudioForSequenceClassification, audio_config),
        ("fusion", av.AVEmotionForSequenceClassification, config),
    ):
        folder = tmp_path / "checkpoints" / f"{kind}-whisper"
        model = model_class(own)
        with torch.no_grad():
            features = model.audio_encoder.extract_features(waveforms[0][:1])[0][0]
        model.audio_encoder.set_feature_statistics(features.mean(0), features.std(0).clamp(min=0.1))
        model.save_pretrained(folder)
        for file in (tmp_path / "checkpoints" / kind).glob("*processor_config.json"):
            shutil.copy(file, folder)
    folders = list((tmp_path / "checkpoints").iterdir())
    for folder in folders:
        stage_remote_code(folder)
    run_clean(ELSEWHERE, tmp_path)
    assert len(folders) == 5
    for folder in folders:
        kind = folder.name.split("-")[0]
        there, here = np.load(tmp_path / f"{folder.name}.npz"), outputs(folder, kind, given, trust=False)
        assert set(there) == set(here) == {name for name in AUTO_CLASSES[kind] if "Model" in name} | {"pipeline"}
        for name, value in here.items():
            assert np.array_equal(there[name], value), f"{folder.name} {name}"
