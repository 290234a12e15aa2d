"""Write the weights of MTCNN that the package ships, from the wheel of facenet-pytorch.

    pip download --no-deps facenet-pytorch==2.6.0
    python tools/convert_mtcnn.py facenet_pytorch-2.6.0-py3-none-any.whl

Dense layers become convolutions over the whole map, whose columns and rows facenet-pytorch swaps before it flattens
them; the outputs become one layer, in which the difference of both logits of the decision stands for them.
"""

import io
import sys
import zipfile

import torch
from safetensors.torch import save_file

from av_emotion_hf.media.mtcnn import MTCNN, WEIGHTS

NETWORKS = {  # file, and the output layers in their order: decision, box, landmarks
    "propose": ("pnet", ("conv4_1", "conv4_2")),
    "refine": ("rnet", ("dense5_1", "dense5_2")),
    "decide": ("onet", ("dense6_1", "dense6_2", "dense6_3")),
}


def converted(wheel: str) -> dict[str, torch.Tensor]:
    """The state of `MTCNN`."""
    state = {}
    with zipfile.ZipFile(wheel) as files:
        for network, (name, heads) in NETWORKS.items():
            theirs = torch.load(io.BytesIO(files.read(f"facenet_pytorch/data/{name}.pt")), weights_only=True)
            values = [value for key, value in theirs.items() if key.split(".")[0] not in heads]
            for part in ("weight", "bias"):
                decision, *others = (theirs[f"{head}.{part}"] for head in heads)
                values.append(torch.cat([decision[1:] - decision[:1], *others]))
            targets = MTCNN()[network].state_dict()
            for (key, target), value in zip(targets.items(), values, strict=True):
                if value.ndim == 2:
                    side = target.shape[-1]
                    value = value.view(len(value), side, side, -1).permute(0, 3, 2, 1)
                state[f"{network}.{key}"] = value.reshape(target.shape).contiguous()
    return state


if __name__ == "__main__":
    save_file(converted(sys.argv[1]), WEIGHTS)
