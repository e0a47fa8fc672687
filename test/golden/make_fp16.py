"""The encoder of tiny-t5-v11 in float16, but for its inputs and outputs, by onnxruntime's converter.

Run: python test/golden/make_fp16.py   (onnx, onnxruntime)
"""
import pathlib
import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16

folder = pathlib.Path(__file__).parent.parent / "fixtures" / "onnx" / "tiny-t5-v11" / "onnx"
model = convert_float_to_float16(onnx.load(folder / "encoder_model.onnx"), keep_io_types=True)
(folder / "encoder_model_fp16.onnx").write_bytes(model.SerializeToString())
