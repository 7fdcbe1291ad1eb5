"""A folder of `export to=onnx` in onnxruntime, as a careful user serves it."""

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

LENGTH, BATCH = 256, 32


class Onnx:
    """A model that takes texts, sorts them by length into batches, and returns its output for each."""

    def __init__(self, folder):
        self.tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
        self.tokenizer.enable_truncation(LENGTH)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(f"{folder}/model.onnx", options)

    def __call__(self, texts):
        encoded = self.tokenizer.encode_batch(texts)
        order = sorted(range(len(texts)), key=lambda i: -len(encoded[i].ids))
        result = None
        for start in range(0, len(texts), BATCH):
            chosen = order[start : start + BATCH]
            width = len(encoded[chosen[0]].ids)
            ids, mask = np.zeros((2, len(chosen), width), np.int64)
            for row, i in enumerate(chosen):
                ids[row, : len(encoded[i].ids)], mask[row, : len(encoded[i].ids)] = encoded[i].ids, 1
            inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
            (found,) = self.session.run(None, inputs)
            result = np.empty((len(texts), found.shape[1]), np.float32) if result is None else result
            result[chosen] = found
        return result
