"""The encoder of tiny-t5-v11 as torch.onnx's dynamo exporter writes it: the graph; its large weights stay in hf/model.safetensors, as external data.

Run: python test/golden/make_dynamo.py   (torch 2.13, transformers 5, onnx, onnxscript)
"""
import json, pathlib, struct, tempfile
import onnx
import torch
from transformers import T5ForConditionalGeneration

folder = pathlib.Path(__file__).parent.parent / "fixtures" / "onnx" / "tiny-t5-v11"


class Encoder(torch.nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids, attention_mask):
        return self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state


model = Encoder(T5ForConditionalGeneration.from_pretrained(folder / "hf", attn_implementation="eager").get_encoder()).eval()
ids = torch.tensor([[5, 6, 7, 8, 1], [9, 10, 1, 0, 0]])
batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
program = torch.onnx.export(
    model,
    (ids, (ids != 0).long()),
    dynamo=True,
    input_names=["input_ids", "attention_mask"],
    output_names=["last_hidden_state"],
    dynamic_shapes=({0: batch, 1: length}, {0: batch, 1: length}),
)
with tempfile.TemporaryDirectory() as made:
    path = pathlib.Path(made) / "encoder.onnx"
    program.save(str(path))
    proto = onnx.load(path)

# Weights are found again by their bytes, as stored or transposed.
raw = (folder / "hf" / "model.safetensors").read_bytes()
size = struct.unpack("<Q", raw[:8])[0]
stored = {}
for entry in json.loads(raw[8 : 8 + size]).values():
    if isinstance(entry, dict) and "data_offsets" in entry:
        begin, end = entry["data_offsets"]
        stored[raw[8 + size + begin : 8 + size + end]] = 8 + size + begin
kept = 0
for tensor in proto.graph.initializer:
    data = onnx.numpy_helper.to_array(tensor).tobytes()
    if len(data) < 1024:
        continue
    if data not in stored:
        kept += len(data)
        continue
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": "hf/model.safetensors", "offset": stored[data], "length": len(data)}.items():
        tensor.external_data.add(key=key, value=str(value))
for node in proto.graph.node:
    node.ClearField("metadata_props")  # stack traces of the exporter
    node.ClearField("doc_string")
for value in [*proto.graph.value_info, *proto.graph.input, *proto.graph.output]:
    value.ClearField("metadata_props")
proto.ClearField("metadata_props")
proto.graph.ClearField("metadata_props")
for tensor in proto.graph.initializer:
    tensor.ClearField("metadata_props")
(folder / "encoder_dynamo.onnx").write_bytes(proto.SerializeToString())
print(len(proto.SerializeToString()), "bytes, of which weights", kept, [f"{o.domain}:{o.version}" for o in proto.opset_import])
