"""Holds TensorBoard's own reader to the event files that the trainer writes, killed and resumed.

python crates/trainer/tests/scripts/read_events.py     (needs `pip install tensorboard`, and cargo)
"""

import json
import logging
import os
import pathlib
import struct
import subprocess
import tempfile

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

logging.disable(logging.WARNING)  # It tells of the restart, which is wanted.
root = pathlib.Path(__file__).parents[4]
test = ["cargo", "test", "-p", "taper-trainer", "--test", "tensorboard", "--", "--ignored", "--exact"]

with tempfile.TemporaryDirectory() as folder:
    environment = {**os.environ, "TAPER_TEST_FOLDER": folder}
    subprocess.run([*test, "leaves_files_for_tensorboard"], cwd=root, env=environment, check=True)
    expected = json.loads(pathlib.Path(folder, "expected.json").read_text())
    board = EventAccumulator(folder, size_guidance={"scalars": 0, "tensors": 0, "histograms": 0}).Reload()

    bits = lambda value: struct.pack("<f", value)
    seen = [(tag, it.step, bits(it.value)) for tag in board.Tags()["scalars"] for it in board.Scalars(tag)]
    assert len(seen) == len(set(it[:2] for it in seen)), "a step was seen twice"
    assert sorted(seen) == sorted((tag, step, bits(value)) for tag, step, value in expected)

    texts = {tag: [it.tensor_proto.string_val[0].decode() for it in board.Tensors(tag)] for tag in board.Tags()["tensors"]}
    assert texts == {"notes": ["the **first** try"]}, texts
    assert board.SummaryMetadata("notes").plugin_data.plugin_name == "text"

    tags = board.Tags()["histograms"]
    assert tags == [f"weights/{name}" for name in ["conv.bias", "conv.weight", "fc.bias", "fc.weight"]], tags
    for tag in tags:
        histograms = board.Histograms(tag)
        assert [it.step for it in histograms] == [5, 10, 15, 20]
        for it in histograms:
            value = it.histogram_value
            assert sum(value.bucket) == value.num > 0 and value.bucket_limit == sorted(value.bucket_limit)
            assert value.bucket_limit[-1] == value.max and value.min < value.bucket_limit[0]
    print(f"TensorBoard read {len(seen)} scalars, {len(tags)} histograms over 4 epochs, and 1 text, each step once")
