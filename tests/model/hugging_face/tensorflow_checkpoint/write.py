"""Write `bert_model.ckpt` beside this file, as google-research/bert does: a tiny BERT and a variable of its optimizer.

pip install tensorflow-cpu==2.21.0; python write.py
"""

import math
from pathlib import Path

V, H, LAYERS, WIDE, POSITIONS = 40, 8, 2, 12, 16


def shapes():
    found = {
        "bert/embeddings/word_embeddings": (V, H), "bert/embeddings/word_embeddings/adam_m": (V, H),
        "bert/embeddings/position_embeddings": (POSITIONS, H), "bert/embeddings/token_type_embeddings": (2, H),
        "cls/predictions/output_bias": (V,),
        "cls/seq_relationship/output_weights": (2, H), "cls/seq_relationship/output_bias": (2,),
    }  # fmt: skip
    dense = {"bert/pooler/dense": (H, H), "cls/predictions/transform/dense": (H, H)}
    norms = ["bert/embeddings/LayerNorm", "cls/predictions/transform/LayerNorm"]
    for i in range(LAYERS):
        layer = f"bert/encoder/layer_{i}"
        dense |= {f"{layer}/attention/self/{part}": (H, H) for part in ("query", "key", "value")}
        dense |= {f"{layer}/attention/output/dense": (H, H)}
        dense |= {f"{layer}/intermediate/dense": (H, WIDE), f"{layer}/output/dense": (WIDE, H)}
        norms += [f"{layer}/attention/output/LayerNorm", f"{layer}/output/LayerNorm"]
    for name, (inner, outer) in dense.items():
        found |= {f"{name}/kernel": (inner, outer), f"{name}/bias": (outer,)}
    for name in norms:
        found |= {f"{name}/gamma": (H,), f"{name}/beta": (H,)}
    return dict(sorted(found.items()))


def values():
    """Return the numbers of each variable, flat. They differ between variables, and are exact in float32."""
    return {
        name: [(i % 7 - 3) * 0.125 + number / 64 for i in range(math.prod(shape))]
        for number, (name, shape) in enumerate(shapes().items())
    }


if __name__ == "__main__":
    import numpy as np
    import tensorflow as tf

    v1 = tf.compat.v1
    v1.disable_eager_execution()
    variables = [
        v1.get_variable(name, initializer=np.array(numbers, np.float32).reshape(shapes()[name]))
        for name, numbers in values().items()
    ]
    variables.append(v1.get_variable("global_step", initializer=np.int64(5)))
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        path = str(Path(__file__).with_name("bert_model.ckpt"))
        v1.train.Saver(variables).save(session, path, write_meta_graph=False)
