import json

import pytest
import torch
from helpers.clean_room import run_clean
from transformers import ResNetForImageClassification

import av_emotion_hf as av
from av_emotion_hf.errors import InputError
from av_emotion_hf.hub import check_card
from av_emotion_hf.hub.push import push

CODE = "modeling_av_emotion.py"
MODEL = "/model.safetensors"


@pytest.fixture
def checkpoint(config, tmp_path):
    """Folder of a fusion classifier with its processor, as `save_pretrained` writes it."""
    torch.manual_seed(0)
    av.AVEmotionForSequenceClassification(config).save_pretrained(tmp_path / "mine")
    av.AVEmotionProcessor(av.AVEmotionFeatureExtractor(), av.AVEmotionImageProcessor()).save_pretrained(
        tmp_path / "mine"
    )
    return tmp_path / "mine"


@pytest.fixture
def same_logits(waveforms, crops, tmp_path):
    """Function from a checkpoint folder and the code that loads it elsewhere to whether the logits are the same."""
    inputs = dict(
        zip(("input_values", "attention_mask", "pixel_values", "pixel_mask"), waveforms + crops, strict=True)
    )
    torch.save(inputs, tmp_path / "inputs.pt")

    def compare(folder, loaded):
        model = av.AVEmotionForSequenceClassification.from_pretrained(folder).eval()
        with torch.no_grad():
            return torch.equal(model(**inputs).logits, torch.load(loaded))

    return compare


def test_a_dry_run_lists_what_would_be_uploaded(checkpoint, hub, client):
    (checkpoint / "training_args.bin").write_bytes(b"x")
    (checkpoint / "checkpoint-7").mkdir()
    (checkpoint / "checkpoint-7" / "optimizer.pt").write_bytes(b"x")
    before = sorted(checkpoint.iterdir())
    report = push(checkpoint, "someone/mine", dry_run=True)
    sizes = {file["path"]: file["bytes"] for file in report["files"]}
    assert {"README.md", "config.json", "model.safetensors", "processor_config.json", CODE} <= sizes.keys()
    assert not [name for name in sizes if "checkpoint" in name or name.endswith((".bin", ".pt"))]
    assert sizes["model.safetensors"] == (checkpoint / "model.safetensors").stat().st_size
    assert report["bytes"] == sum(sizes.values()) and (report["kind"], report["revision"]) == ("model", "main")
    assert sorted(checkpoint.iterdir()) == before and "auto_map" not in (checkpoint / "config.json").read_text()
    status, out, _ = client.verb("push", checkpoint, "mine", "--dry-run", token=None)
    assert status == 0 and f"{sizes['model.safetensors']:,}  model.safetensors" in out and "would be uploaded" in out
    assert not hub.requests


@pytest.mark.slow
def test_a_pushed_checkpoint_loads_with_and_without_the_package(checkpoint, hub, client, same_logits, tmp_path):
    status, out, err = client.verb("push", checkpoint, "mine", "--json")
    assert status == 0, err
    assert json.loads(out)["url"] == f"{hub.url}/tester/mine"
    files = hub.files("tester/mine")
    assert files["model.safetensors"] == (checkpoint / "model.safetensors").read_bytes()
    assert check_card(files["README.md"].decode()).data.library_name == "transformers"
    references = [*json.loads(files["config.json"])["auto_map"].values()]
    assert references and all(f"{reference.split('.')[0]}.py" in files for reference in references)

    compute = (
        "import torch\nfrom transformers import AutoModelForVideoClassification, AutoProcessor\n"
        "given = {{'trust_remote_code': True}} if {remote} else {{}}\n"
        "model = AutoModelForVideoClassification.from_pretrained('tester/mine', **given).eval()\n"
        "processor = AutoProcessor.from_pretrained('tester/mine', **given)\n"
        "assert type(processor).__name__ == 'AVEmotionProcessor'\n"
        f"with torch.no_grad(): logits = model(**torch.load({str(tmp_path / 'inputs.pt')!r})).logits\n"
        "torch.save(logits, {out!r})\nprint(type(model).__module__)\n"
    )
    here = client.run("import av_emotion_hf\n" + compute.format(remote=False, out=str(tmp_path / "here.pt")))
    assert here.startswith("av_emotion_hf.") and same_logits(checkpoint, tmp_path / "here.pt")
    code = compute.format(remote=True, out=str(tmp_path / "there.pt"))
    there = run_clean(code, tmp_path / "clean", HF_ENDPOINT=hub.url, HF_HUB_OFFLINE="0")
    assert there.startswith("transformers_modules.") and same_logits(checkpoint, tmp_path / "there.pt")


@pytest.mark.slow
def test_an_expression_recogniser_brings_its_image_processor(hub, client, image_config, tmp_path):
    folder = tmp_path / "expression"
    ResNetForImageClassification(image_config.backbone_config).save_pretrained(folder)
    av.AVEmotionImageProcessor(size={"height": 40, "width": 40}).save_pretrained(folder)
    assert client.verb("push", folder, "expression")[0] == 0
    files = hub.files("tester/expression")
    code = [f"{name}_av_emotion.py" for name in ("arrays", "image_processing", "pictures")]
    assert sorted(name for name in files if name.endswith(".py")) == code
    assert "auto_map" not in json.loads(files["config.json"])
    code = (
        "import numpy as np\nfrom transformers import AutoImageProcessor, AutoModelForImageClassification\n"
        "processor = AutoImageProcessor.from_pretrained('tester/expression', trust_remote_code=True)\n"
        "model = AutoModelForImageClassification.from_pretrained('tester/expression')\n"
        "pixels = processor([[np.zeros((50, 50, 3), np.uint8)]], return_tensors='pt').pixel_values[:, 0]\n"
        "print(tuple(pixels.shape), tuple(model(pixels).logits.shape))\n"
    )
    printed = run_clean(code, tmp_path / "clean", HF_ENDPOINT=hub.url, HF_HUB_OFFLINE="0")
    assert printed == "(1, 3, 40, 40) (1, 2)\n"


def test_pushed_again_only_what_changed_is_sent_and_stale_weights_go(checkpoint, hub, client, config):
    assert client.verb("push", checkpoint, "mine")[0] == 0
    uploads, first = hub.count("PUT"), hub.files("tester/mine")
    assert uploads == 1
    assert client.verb("push", checkpoint, "mine")[0] == 0
    assert hub.count("PUT") == uploads and hub.files("tester/mine") == first
    model = av.AVEmotionForSequenceClassification(config)
    (checkpoint / "model.safetensors").unlink()
    model.save_pretrained(checkpoint, max_shard_size="20KB")
    assert client.verb("push", checkpoint, "mine")[0] == 0
    weights = {name for name in hub.files("tester/mine") if name.endswith(".safetensors")}
    assert len(weights) > 1 and weights == {path.name for path in checkpoint.glob("*.safetensors")}


def test_branches_and_private_repositories(checkpoint, hub, client):
    status, out, err = client.verb("push", checkpoint, "mine", "--private", "--revision", "trial", "--json")
    assert status == 0, err
    assert json.loads(out)["revision"] == "trial" and hub.repos["model", "tester/mine"].private
    assert CODE in hub.files("tester/mine", revision="trial") and not hub.files("tester/mine")
    hub.repos["model", "tester/mine"].private = False
    status, _, err = client.verb("push", checkpoint, "mine", "--private")
    assert status == 2 and "exists and is public, and nothing was pushed" in err and not hub.files("tester/mine")


def test_a_connection_that_breaks_half_way_leaves_nothing_half_and_a_repeat_completes(checkpoint, hub, client, config):
    model = av.AVEmotionForSequenceClassification(config)
    (checkpoint / "model.safetensors").unlink()
    model.save_pretrained(checkpoint, max_shard_size="20KB")
    shards = len(list(checkpoint.glob("*.safetensors")))
    hub.fail("PUT", "/large/", after=1)
    status, _, err = client.verb("push", checkpoint, "mine")
    assert status == 2 and "was interrupted" in err and "push again to resume" in err and err.strip().count("\n") == 0
    assert hub.files("tester/mine") == {} and len(hub.large) == 1
    hub.heal()
    hub.requests.clear()
    assert client.verb("push", checkpoint, "mine")[0] == 0
    assert hub.count("PUT") == shards - 1  # what had arrived was not sent twice
    assert {path.name for path in checkpoint.glob("*.safetensors")} <= hub.files("tester/mine").keys()

    hub.fail("POST", "/commit/", status=500)
    (checkpoint / "notes.md").write_text("more")
    status, _, err = client.verb("push", checkpoint, "mine")
    assert status == 2 and "was interrupted" in err and "notes.md" not in hub.files("tester/mine")
    hub.heal()
    assert client.verb("push", checkpoint, "mine")[0] == 0 and hub.files("tester/mine")["notes.md"] == b"more"


def test_a_server_without_xet_says_how_to_push_plainly(checkpoint, hub, client):
    switch = "from huggingface_hub import constants\nconstants.HF_HUB_DISABLE_XET = {}\n"
    client.run(switch.format(False))
    try:
        status, _, err = client.verb("push", checkpoint, "mine")
    finally:
        client.run(switch.format(True))
    assert status == 2 and err.endswith("does not support Xet uploads; set HF_HUB_DISABLE_XET=1 and push again\n")
    assert hub.count("GET", "xet-write-token") and hub.files("tester/mine") == {}
    assert client.verb("push", checkpoint, "mine")[0] == 0 and hub.count("PUT") == 1


def test_a_commit_of_somebody_else_in_the_meantime_is_not_run_over(checkpoint, hub, client):
    assert client.verb("push", checkpoint, "mine")[0] == 0
    (checkpoint / "notes.md").write_text("mine")
    meanwhile = (
        "from huggingface_hub import HfApi\n"
        "commit = HfApi.create_commit\n"
        "def late(self, repo, *args, **kwargs):\n"
        "    HfApi.create_commit = commit\n"
        "    self.upload_file(repo_id=repo, path_or_fileobj=b'theirs', path_in_repo='notes.md')\n"
        "    return commit(self, repo, *args, **kwargs)\n"
        "HfApi.create_commit = late\n"
    )
    client.run(meanwhile)
    status, _, err = client.verb("push", checkpoint, "mine")
    assert status == 2 and "somebody else has changed it in the meantime" in err
    assert hub.files("tester/mine")["notes.md"] == b"theirs"


@pytest.mark.parametrize(
    ("token", "repo", "message"),
    [
        (None, "mine", "not logged in to {url}; run `hf auth login`, or set HF_TOKEN"),
        ("hf_nobody", "mine", "does not know the token"),
        ("hf_reader", "mine", "the token needs write access to tester"),
        ("hf_writer", "someone/mine", "refuses (You don't have the rights"),
        ("hf_writer", "tester/taken", "the name is taken, it contains a 'bert' model, and this is a 'av_emotion' one"),
        ("hf_writer", "tester/a b", "is not a name of a repository"),
    ],
)
def test_who_may_not_push_is_told_what_to_do(checkpoint, hub, client, token, repo, message):
    client.run("from huggingface_hub import HfApi\nHfApi().create_repo('tester/taken')")
    hub.repos["model", "tester/taken"].commit("main", {"config.json": b'{"model_type": "bert"}'})
    status, out, err = client.verb("push", checkpoint, repo, token=token)
    assert status == 2 and out == "" and err.startswith("av-emotion: ") and err.strip().count("\n") == 0
    assert message.format(url=hub.url) in err
    assert hub.files("tester/taken") == {"config.json": b'{"model_type": "bert"}'}


def test_metadata_that_the_hub_refuses_is_told_before_weights_go_up(checkpoint, hub, client):
    (checkpoint / "README.md").write_text("---\nlicense: nonsense\n---\n# Mine\n")
    status, _, err = client.verb("push", checkpoint, "mine")
    assert status == 2 and "must be one of the licenses" in err and hub.count("PUT") == 0


@pytest.mark.parametrize("name", ["pytorch_model.bin", "weights.pt", "part/model.ckpt"])
def test_pickles_are_refused(checkpoint, name):
    (checkpoint / name).parent.mkdir(exist_ok=True)
    (checkpoint / name).write_bytes(b"x")
    with pytest.raises(InputError, match=f"{name}: is a pickle, and only safetensors are pushed"):
        push(checkpoint, "mine", dry_run=True)


def test_what_is_not_a_whole_checkpoint_is_refused(checkpoint, tmp_path):
    with pytest.raises(InputError, match="there is no such folder"):
        push(tmp_path / "nothing", "mine", dry_run=True)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="contains neither a checkpoint"):
        push(tmp_path / "empty", "mine", dry_run=True)
    weights = checkpoint / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(InputError, match=r"model.safetensors: is damaged .*save the model again"):
        push(checkpoint, "mine", dry_run=True)
    weights.unlink()
    with pytest.raises(InputError, match=r"model.safetensors: is missing"):
        push(checkpoint, "mine", dry_run=True)


def test_a_card_of_the_users_own_stays(checkpoint, hub, client):
    (checkpoint / "README.md").write_text("---\nlicense: mit\n---\n# Mine\n")
    assert client.verb("push", checkpoint, "mine")[0] == 0
    assert hub.files("tester/mine")["README.md"] == b"---\nlicense: mit\n---\n# Mine\n"
    status, _, err = client.verb("push", checkpoint, "mine", "--license", "mit")
    assert status == 2 and "has a card of your own, and --license is for generated cards" in err


def test_the_license_is_in_the_card(checkpoint, hub, client):
    assert client.verb("push", checkpoint, "mine")[0] == 0
    assert check_card(hub.files("tester/mine")["README.md"].decode()).data.license == "unknown"
    assert client.verb("push", checkpoint, "mine", "--license", "cc-by-4.0")[0] == 0
    card = check_card(hub.files("tester/mine")["README.md"].decode())
    assert card.data.license == "cc-by-4.0" and "under the license cc-by-4.0" in card.text


def test_a_card_that_was_edited_on_the_hub_stays(checkpoint, hub, client):
    assert client.verb("push", checkpoint, "mine")[0] == 0
    made = hub.files("tester/mine")["README.md"]
    edited = made.replace(b"**say so here**", b"it learned from my clips")
    assert edited != made
    draft = b"# x\n<!-- This model card has been generated automatically according to ... -->\n"
    for card, stays in ((edited, True), (b"---\nlicense: mit\n---\n", False), (draft, False), (made, False)):
        hub.repos["model", "tester/mine"].commit("main", hub.files("tester/mine") | {"README.md": card})
        status, _, err = client.verb("push", checkpoint, "mine", "--license", "cc-by-4.0")
        assert status == 0 and ("README.md was edited on the Hub and is kept" in err) == stays
        assert (hub.files("tester/mine")["README.md"] == card) == stays
