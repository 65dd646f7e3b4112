"""SavedModels of Keras and of plain TensorFlow."""

import sys

import tensorflow as tf

tf.random.set_seed(0)
keras = tf.keras.Sequential([tf.keras.Input((4,), name="x"), tf.keras.layers.Dense(8, activation="relu"), tf.keras.layers.Dense(3, activation="softmax")])
keras.export(f"{sys.argv[1]}/keras")


class Two(tf.Module):
    def __init__(self):
        self.w = tf.Variable(tf.random.normal((4, 2)))

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="a"), tf.TensorSpec([None, 2], tf.float32, name="b")])
    def both(self, a, b):
        return {"sum": a @ self.w + b, "first": a[:, :1]}


two = Two()
tf.saved_model.save(two, f"{sys.argv[1]}/two", signatures={"serving_default": two.both})
