"""Files of `voice_vectors.py`, of voices whose emotion is in one state."""

import json

import numpy as np

DESCRIPTORS, STATES, FRAMES = 60, 3 * 4, 5000


def write_vectors(folder, name, emotions, shift, seed=0):
    """Five speakers, four clips of each emotion each; the class is in one state, `shift` moves a speaker's in all."""
    rng = np.random.default_rng(seed)
    voiced, moments, facts = [], [], {"emotion": [], "speaker": []}
    for speaker in range(5):
        offset = rng.normal(0, shift, DESCRIPTORS + STATES)
        for number in range(4 * len(emotions)):
            mean = rng.normal(0, 0.1, DESCRIPTORS + STATES) + offset
            mean[DESCRIPTORS + ["angry", "happy", "neutral", "sad"].index(emotions[number % len(emotions)])] += 2.0
            voiced.append(np.stack([mean, np.ones_like(mean)]))
            moments.append(np.stack([np.full_like(mean, FRAMES), mean, FRAMES * np.ones_like(mean)]))
            facts["emotion"].append(emotions[number % len(emotions)])
            facts["speaker"].append(str(speaker))
    arrays = {"voiced": np.stack(voiced), "moments": np.stack(moments)}
    facts = json.dumps(facts | {"gender": ["male" if int(each) % 2 else "female" for each in facts["speaker"]]})
    np.savez(folder / f"{name}.npz", facts=facts, **arrays)
    np.savez(folder / f"{name}_functionals.npz", facts=facts, functionals=rng.normal(size=(len(voiced), 88)))
