"""`push_to_hub` of models, processors and Trainer, as transformers has them."""

import json

import pytest
import torch
from helpers.clean_room import run_clean

import av_emotion_hf as av

SMALL = {"hidden_size": 8, "num_hidden_layers": 1, "num_mel_bins": 8}
CODE = {"modeling_av_emotion.py", "configuration_av_emotion.py", "feature_extraction_av_emotion.py"}


@pytest.mark.slow
def test_model_and_processor_carry_their_code(hub, client, waveforms, tmp_path):
    torch.save({"input_values": waveforms[0], "attention_mask": waveforms[1]}, tmp_path / "inputs.pt")
    client.run(
        "import torch\nimport av_emotion_hf as av\nfrom av_emotion_hf.hub import carry_remote_code\n"
        f"config = av.AVEmotionAudioConfig(**{SMALL!r}, id2label={{0: 'sad', 1: 'happy'}})\n"
        "model = av.AVEmotionAudioForSequenceClassification(config).eval()\n"
        "carry_remote_code(model)\n"
        "model.push_to_hub('voice')\nav.AVEmotionFeatureExtractor().push_to_hub('voice')\n"
        f"with torch.no_grad(): logits = model(**torch.load({str(tmp_path / 'inputs.pt')!r})).logits\n"
        f"torch.save(logits, {str(tmp_path / 'here.pt')!r})\n"
    )
    files = hub.files("tester/voice")
    assert files.keys() >= CODE | {"config.json", "model.safetensors", "preprocessor_config.json"}
    code = (
        "import torch\n"
        "from transformers import AutoFeatureExtractor, AutoModelForAudioClassification, pipeline\n"
        "model = AutoModelForAudioClassification.from_pretrained('tester/voice', trust_remote_code=True).eval()\n"
        "extractor = AutoFeatureExtractor.from_pretrained('tester/voice', trust_remote_code=True)\n"
        f"with torch.no_grad(): logits = model(**torch.load({str(tmp_path / 'inputs.pt')!r})).logits\n"
        f"torch.save(logits, {str(tmp_path / 'there.pt')!r})\n"
        "classify = pipeline('audio-classification', model='tester/voice', trust_remote_code=True)\n"
        "print(sorted(one['label'] for one in classify(torch.zeros(16000).numpy())))\n"
    )
    printed = run_clean(code, tmp_path / "clean", HF_ENDPOINT=hub.url, HF_HUB_OFFLINE="0")
    assert "['happy', 'sad']" in printed
    assert torch.equal(torch.load(tmp_path / "here.pt"), torch.load(tmp_path / "there.pt"))


TRAINING = """
import torch
import av_emotion_hf as av
from transformers import TrainingArguments
from av_emotion_hf.hub import carry_remote_code
from av_emotion_hf.training.trainer import EmotionTrainer, SaveProcessorCallback

torch.manual_seed(0)
config = av.AVEmotionConfig(
    audio_config={audio}, image_config={image}, id2label={{0: "sad", 1: "happy"}}
)
model = av.AVEmotionForSequenceClassification(config)
carry_remote_code(model)
processor = av.AVEmotionProcessor(av.AVEmotionFeatureExtractor(), av.AVEmotionImageProcessor())
rows = [
    {{"input_features": torch.randn(5, model.audio_encoder.num_features), "attention_mask": torch.ones(5).long(),
      "image_features": torch.randn(3, model.image_encoder.num_features), "pixel_mask": torch.ones(3).long(),
      "labels": i % 2}}
    for i in range(4)
]
args = TrainingArguments(
    output_dir={out!r}, max_steps=2, per_device_train_batch_size=2, use_cpu=True, report_to="none",
    hub_model_id="trained", push_to_hub=True, hub_strategy={strategy!r}, save_steps=1, remove_unused_columns=False,
)
trainer = EmotionTrainer(model=model, args=args, train_dataset=rows, callbacks=[SaveProcessorCallback(processor)])
trainer.train()
trainer.push_to_hub(tags=["emotion-recognition"])
"""


@pytest.mark.parametrize("strategy", ["end", "every_save"])
def test_trainer_pushes_model_processor_and_code(hub, client, tmp_path, strategy):
    backbone = {
        "model_type": "resnet",
        "embedding_size": 8,
        "hidden_sizes": [8],
        "depths": [1],
        "layer_type": "basic",
    }
    image = {"hidden_size": 8, "num_hidden_layers": 1, "backbone_config": backbone}
    client.run(TRAINING.format(audio=SMALL, image=image, out=str(tmp_path / "trained"), strategy=strategy))
    files = hub.files("tester/trained")
    assert files.keys() >= CODE | {"config.json", "model.safetensors", "processor_config.json", "README.md"}
    assert "emotion-recognition" in files["README.md"].decode()
    assert "AutoModelForVideoClassification" in json.loads(files["config.json"])["auto_map"]
    print_type = (
        "import av_emotion_hf\nfrom transformers import AutoModelForVideoClassification, AutoProcessor\n"
        "print(type(AutoModelForVideoClassification.from_pretrained('tester/trained')).__name__)\n"
        "print(type(AutoProcessor.from_pretrained('tester/trained')).__name__)\n"
    )
    assert client.run(print_type).split() == [av.AVEmotionForSequenceClassification.__name__, "AVEmotionProcessor"]
