"""Draw the picture of the README: what the model sees and hears of the demo clip, what becomes of it, and the scores.

python examples/make_figures.py docs/images
"""

import sys
import tempfile
from pathlib import Path

import make_demo_clip
import numpy as np
from PIL import Image, ImageDraw

from av_emotion_hf import EmotionPredictor, load_detector, open_clip, track_faces
from av_emotion_hf.plots import BACKGROUND, COLORS, INK, font, write_image

ROOT = Path(__file__).resolve().parents[1]
WIDTH, HEIGHT = 1680, 612  # pixels, twice as many as are shown
MARGIN, TOP = 40, 76
VOICE, FACE, BOTH = (38, 111, 172), (198, 93, 34), (88, 80, 141)
FRAME, CROP = 320, 74
LANES = {"image": 232, "audio": 528}  # heights of their middles


def draw(path: str) -> Image.Image:
    """The picture of a clip."""
    detector = load_detector("mtcnn")
    clip = open_clip(path, fps=10)
    faces = track_faces(clip, detector)
    prediction = EmotionPredictor(detector="mtcnn", device="cpu")(path)
    (frames,) = [frames for _, frames in open_clip(path, fps=10).frames(100)]
    picture = Image.new("RGB", (WIDTH, HEIGHT), BACKGROUND)
    ink = ImageDraw.Draw(picture)
    draw_clip(picture, ink, frames, faces, clip.waveform)
    draw_blocks(ink, prediction.modality_shares)
    draw_scores(ink, prediction.scores)
    return picture


def draw_clip(picture: Image.Image, ink: ImageDraw.ImageDraw, frames: np.ndarray, faces, waveform: np.ndarray) -> None:
    """On the left a frame with the box of the face, face crops and the waveform."""
    ink.text((MARGIN, 24), "A clip", fill=INK, font=font(30))
    scale = FRAME / frames[0].shape[0]
    picture.paste(Image.fromarray(frames[0]).resize((FRAME, FRAME), Image.Resampling.LANCZOS), (MARGIN, TOP))
    x0, y0, x1, y1 = (float(side) * scale for side in faces.boxes[0])
    ink.rectangle([MARGIN + x0, TOP + y0, MARGIN + x1, TOP + y1], outline=COLORS["detected"], width=4)
    top = TOP + FRAME + 12
    for number, row in enumerate(np.linspace(0, len(faces.crops) - 1, 4).round().astype(int)):
        crop = Image.fromarray(faces.crops[row]).resize((CROP, CROP), Image.Resampling.LANCZOS)
        picture.paste(crop, (MARGIN + number * (CROP + 8), top))
    middle, height = LANES["audio"], 44
    columns = np.array_split(waveform, FRAME)
    for x, part in enumerate(columns):
        low, high = float(part.min()), float(part.max())
        ink.line([MARGIN + x, middle - height * high, MARGIN + x, middle - height * low], fill=VOICE)


def draw_blocks(ink: ImageDraw.ImageDraw, shares: dict[str, float]) -> None:
    """In the middle the way from face and voice to one decision, and how much of it each of them makes."""
    left = MARGIN + FRAME + 70
    ink.text((left, 24), "av-emotion-base", fill=INK, font=font(30))
    rows = {"face": (LANES["image"], FACE, "image"), "voice": (LANES["audio"], VOICE, "audio")}
    texts = {
        "face": (["expression network", "of each frame"], ["mean and", "deviation"]),
        "voice": (["descriptors and", "speech encoder"], ["mean and", "deviation"]),
    }
    for name, (middle, color, modality) in rows.items():
        arrow(ink, (MARGIN + FRAME + 14, middle), (left - 4, middle), color)
        block(ink, (left, middle), 234, color, texts[name][0])
        arrow(ink, (left + 238, middle), (left + 270, middle), color)
        block(ink, (left + 274, middle), 150, color, texts[name][1])
        arrow(ink, (left + 428, middle), (left + 460, middle), color)
        block(ink, (left + 464, middle), 104, color, [name, f"{shares[modality]:.0%}"])
    center = (left + 600, sum(LANES.values()) // 2)
    for middle, color in ((LANES["image"], FACE), (LANES["audio"], VOICE)):
        offset = 34 if middle < center[1] else -34
        ink.line([left + 568, middle, center[0], middle], fill=color, width=4)
        arrow(ink, (center[0], middle), (center[0], center[1] - offset), color)
    ink.ellipse([center[0] - 28, center[1] - 28, center[0] + 28, center[1] + 28], outline=BOTH, width=4)
    for slope in (-1, 1):
        ink.line([center[0] - 10, center[1] - 10 * slope, center[0] + 10, center[1] + 10 * slope], fill=BOTH, width=4)
    arrow(ink, (center[0] + 32, center[1]), (center[0] + 78, center[1]), BOTH)


def draw_scores(ink: ImageDraw.ImageDraw, scores: dict[str, float]) -> None:
    """On the right a bar for each emotion, from the most probable one."""
    left, right = WIDTH - 500, WIDTH - MARGIN
    ink.text((left, 24), "Expression shown", fill=INK, font=font(30))
    step = (HEIGHT - 2 * TOP) / len(scores)
    for number, (label, score) in enumerate(sorted(scores.items(), key=lambda item: -item[1])):
        middle = TOP + 24 + (number + 0.5) * step
        ink.text((left + 130, middle), label, fill=INK, font=font(26), anchor="rm")
        full = right - 66 - (left + 146)
        ink.rectangle([left + 146, middle - 17, left + 146 + full, middle + 17], fill=(236, 236, 240))
        color = BOTH if number == 0 else (166, 160, 205)
        ink.rectangle([left + 146, middle - 17, left + 146 + max(2, full * score), middle + 17], fill=color)
        ink.text((right, middle), f"{score:.2f}", fill=INK, font=font(26), anchor="rm")


def block(ink: ImageDraw.ImageDraw, place: tuple[int, int], width: int, color: tuple, lines: list[str]) -> None:
    """A box with lines of text, whose left side begins at a place, in the middle of its height."""
    left, middle = place
    ink.rounded_rectangle([left, middle - 50, left + width, middle + 50], 12, fill="white", outline=color, width=4)
    for number, line in enumerate(lines):
        y = middle + (number - (len(lines) - 1) / 2) * 30
        ink.text((left + width / 2, y), line, fill=INK, font=font(22), anchor="mm")


def arrow(ink: ImageDraw.ImageDraw, start: tuple[int, int], end: tuple[int, int], color: tuple) -> None:
    """A line with a head, along one of the axes."""
    ink.line([*start, *end], fill=color, width=4)
    x, y = end
    across, along = (0, np.sign(x - start[0])) if start[1] == y else (np.sign(y - start[1]), 0)
    head = [(x, y), (x - 14 * along - 9 * across, y - 14 * across - 9 * along)]
    head.append((x - 14 * along + 9 * across, y - 14 * across + 9 * along))
    ink.polygon([tuple(map(float, point)) for point in head], fill=color)


def main(folder: str) -> None:
    """Draw the pictures into a folder."""
    with tempfile.TemporaryDirectory() as temporary:
        clip = str(Path(temporary) / "clip.mp4")
        make_demo_clip.write(clip)
        picture = draw(clip)
    palette = picture.quantize(192, dither=Image.Dither.FLOYDSTEINBERG)  # a third of the bytes
    write_image(palette, Path(folder) / "overview.png")


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(f"usage: {sys.argv[0]} FOLDER")
    main(sys.argv[1])
